/** A Backend.Type that weft does not have: what is known of it. With toy-backend.ts the whole of what a new one costs besides its lines in tables. */
import * as z from 'zod';
import type { Kind } from '../../src/cluster/kinds/kind.ts';
import { refuse } from '../../src/cluster/refuse.ts';
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
