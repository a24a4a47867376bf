/** What a node does for the toy Backend.Type on its host. */
import type { LeaseAttributes } from '../../src/cluster/lease/lease.ts';
import { AllocBackend } from '../../src/control/backend/alloc.ts';
import { type BackendContext, publicAttributes } from '../../src/control/backend/backend.ts';
import { TOY_KIND, type ToyConfig } from './toy-kind.ts';

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
