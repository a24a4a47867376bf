/** What others do to the host while the daemon runs: the underlay's address or MTU, devices, routes. Looked at every few seconds. */
import type { ExternalInterface } from '../host/external-interface.ts';
import { sameInterface } from '../host/external-interface.ts';
import type { RouteKeeper } from '../host/routes.ts';
import type { Clock, Timer } from '../shared/clock.ts';
import { messageOf } from '../shared/errors.ts';
import { type PlainLog, rarely } from '../shared/repeats.ts';
import type { Backend } from './backend/backend.ts';
import type { Log } from './log/log.ts';
import type { Turn } from './turn.ts';

/** How often the host is compared with what should be there. */
const PERIOD_MS = 5_000;

export interface UpkeepContext {
  backend: Pick<Backend, 'heal' | 'learnAddresses' | 'move'>;
  routes: Pick<RouteKeeper, 'sync' | 'problem'>;
  /** the underlay as the start found it */
  external: ExternalInterface;
  /** the underlay as it is now */
  find: () => Promise<ExternalInterface>;
  /** Lets the cluster and CNI plugins know of a new address or MTU. Called even when the backend could not follow. */
  announce: () => Promise<void>;
  log: Log;
  clock: Clock;
}

export class Upkeep {
  /** the underlay that is in use */
  external: ExternalInterface;
  /** why the host could not be put right at the last look, '' if nothing */
  problem = '';
  /** another interface would be the underlay now, '' if not */
  underlayMoved = '';
  private readonly context: UpkeepContext;
  private readonly rare: PlainLog;
  private timer: Timer | undefined;

  constructor(context: UpkeepContext) {
    this.context = context;
    this.external = context.external;
    this.rare = rarely(context.log, context.clock);
  }

  start(turn: Turn): void {
    this.timer = this.context.clock.every(PERIOD_MS, () => void turn.take(() => this.look()));
  }

  stop(): void {
    this.timer?.stop();
  }

  /** One look, and what it finds is put right. */
  async look(): Promise<void> {
    const { backend, routes, log } = this.context;
    try {
      await backend.learnAddresses?.();
      await this.lookAtUnderlay();
      const healed = await backend.heal();
      const done = [healed, await routes.sync()].filter(Boolean).join('; ');
      if (done !== '') log.warn(`the host was not as it should be; ${done}`);
      if (routes.problem !== '') this.rare.error(routes.problem);
      this.problem = '';
    } catch (error) {
      this.problem = messageOf(error);
      this.rare.error(`upkeep: ${this.problem}`);
    }
  }

  /** A new address or MTU is followed; another interface is not: a VPN that takes the default route must not take the overlay. */
  private async lookAtUnderlay(): Promise<void> {
    const { external } = this;
    const found = await this.context.find();
    this.underlayMoved = '';
    if (sameInterface(found, external)) return;
    if (found.name === external.name) return this.move(found);
    this.underlayMoved = `${found.name} would be the underlay now (${found.reason}); staying on ${external.name}, restart weftd to move`;
    this.rare.warn(this.underlayMoved);
  }

  private async move(external: ExternalInterface): Promise<void> {
    const { backend, announce, log } = this.context;
    const { name, mtu } = external;
    log.warn({ mtu }, `the underlay changed: ${name}; following`);
    this.external = external;
    try {
      await backend.move(external);
    } finally {
      // The new address is announced even if the move must be tried again.
      await announce();
    }
  }
}
