/** A backend that weft does not have: the whole of what a new kernel backend costs, besides a line in each of the two tables. */
import { z } from 'zod';
import type { Kind } from '../../src/cluster/kinds/kind.ts';
import type { LeaseAttributes } from '../../src/cluster/lease/lease.ts';
import { refuse } from '../../src/cluster/refuse.ts';
import { AllocBackend } from '../../src/control/backend/alloc.ts';
import { type BackendContext, publicAttributes } from '../../src/control/backend/backend.ts';
import { NO_MAC } from '../../src/shared/address.ts';

export interface ToyConfig {
  type: 'toy';
  /** nodes of different colours do not talk to each other */
  colour: string;
}

const options = { Colour: z.string().default('red') };

export const TOY_KIND: Kind<ToyConfig, typeof options> = {
  type: 'toy',
  publishes: 'toy',
  label: 'toy',
  options,
  families: [4, 6],

  parse({ colour }) {
    if (!/^[a-z]+$/.test(colour)) refuse(`Backend.Colour "${colour}" is no colour`);
    return { type: 'toy', colour };
  },

  overheadBytes: (family) => (family === 4 ? 20 : 40),
  outerMtu: () => undefined,

  devices: {
    linkKind: 'ipip',
    names: /^toy[46]-[a-z]+$/,
    name: ({ colour }, family) => `toy${family}-${colour}`,
  },

  peerData: (config, { backendData }) =>
    backendData === config.colour
      ? { port: 0, mac: NO_MAC }
      : `colour ${JSON.stringify(backendData)} is not ours`,
};

/** A real one would make the device and keep routes in step with the peers. */
export class ToyBackend extends AllocBackend {
  private readonly colour: string;

  constructor(context: BackendContext<ToyConfig>) {
    super(context);
    this.colour = context.config.backend.colour;
  }

  override async attributes(): Promise<LeaseAttributes> {
    const own = publicAttributes(this.context.external, TOY_KIND.publishes);
    return { ...own, backendData: this.colour };
  }

  override podMtu(): number {
    return super.podMtu() - TOY_KIND.overheadBytes(4);
  }
}
