/** Looks at the node once a second: rates for /history, warnings for /status. Cheap: it sums the counters and compares. */
import type { HealthWarning } from '../../api/health.ts';
import { kindOf } from '../../cluster/kinds/all.ts';
import type { Notice } from '../../cluster/registry.ts';
import type { Totals } from '../../memory/counters.ts';
import { formatAddress, formatPrefix } from '../../shared/address.ts';
import type { BackendStatus } from '../backend/backend.ts';
import type { Node } from '../node.ts';
import type { ReachSummary } from '../reach/summary.ts';
import {
  breaksVerdict,
  type HealthFacts,
  type SilentFact,
  WarningBoard,
  warningsOf,
} from './health-warnings.ts';
import { everySecond, History } from './history.ts';
import { Notices } from './notices.ts';

/** What "the last minute" of the warnings is, in looks. */
const MINUTE = 60;
/** A peer that spoke this recently counts as heard. */
const HEARD_MS = 30_000;

/** What warnings compare with a minute ago. */
interface Moment {
  totals: Totals;
  restarts: number;
}

export class SelfWatch {
  readonly history = new History();
  private readonly node: Node;
  private readonly board = new WarningBoard();
  private readonly moments: Moment[] = [];
  private readonly notices = new Notices();
  private readonly tell: (notice: Notice) => void;
  private end: (() => void) | undefined;

  /** `tell` hears what people must know besides those who ask. */
  constructor(node: Node, tell: (notice: Notice) => void = () => undefined) {
    this.node = node;
    this.tell = tell;
  }

  start(): void {
    this.end = everySecond(() => this.look());
  }

  stop(): void {
    this.end?.();
  }

  /** Warnings that have lasted. */
  warnings(): HealthWarning[] {
    return this.board.visible();
  }

  /** Ready, and nothing has lasted that keeps pods from pods of any peer. */
  isHealthy(): boolean {
    return this.node.whyNotReady() === '' && !this.warnings().some(breaksVerdict);
  }

  private look(): void {
    const [nowMs, monotonicMs] = [Date.now(), performance.now()];
    const status = this.node.backend?.status();
    this.history.add(status?.totals, nowMs, monotonicMs);
    if (status) this.remember(status);
    const facts = factsOf(this.node, status, this.recent(), nowMs);
    this.board.update(warningsOf(facts), { nowMs, monotonicMs });
    for (const notice of this.notices.newOf(this.warnings())) this.tell(notice);
  }

  private remember({ totals, workers }: BackendStatus): void {
    this.moments.push({ totals, restarts: workers.reduce((sum, w) => sum + w.restarts, 0) });
    if (this.moments.length > MINUTE + 1) this.moments.shift();
  }

  private recent(): HealthFacts['recent'] {
    const [first, last] = [this.moments[0], this.moments.at(-1)];
    if (!first || !last) return { drops: {}, socketDrops: 0, restarts: 0, sentPackets: 0 };
    const before: Record<string, number> = {
      ...first.totals.drops.outbound,
      ...first.totals.drops.inbound,
    };
    const now = { ...last.totals.drops.outbound, ...last.totals.drops.inbound };
    return {
      drops: Object.fromEntries(
        Object.entries(now).map(([name, n]) => [name, n - (before[name] ?? 0)]),
      ),
      socketDrops: last.totals.stats.udpSocketDrops - first.totals.stats.udpSocketDrops,
      restarts: last.restarts - first.restarts,
      sentPackets: last.totals.counters.sentPackets - first.totals.counters.sentPackets,
    };
  }
}

function factsOf(
  node: Node,
  status: BackendStatus | undefined,
  recent: HealthFacts['recent'],
  nowMs: number,
): HealthFacts {
  const { lease, settings, store, registry, external, config, problems } = node;
  const outer = config && kindOf(config.backend).outerMtu(config.backend);
  return {
    nowMs,
    phase: node.phase,
    store: {
      name: registry.name,
      ok: store.ok,
      message: store.message,
      ...(registry.rememberedAtMs !== undefined && { rememberedAtMs: registry.rememberedAtMs }),
    },
    lease: lease && {
      key: lease.lease.key,
      state: lease.state,
      marginMs: settings.renewMarginMs,
      ...(lease.lease.expiresAtMs !== undefined && { expiresAtMs: lease.lease.expiresAtMs }),
    },
    workers: status?.workers ?? [],
    heldPeers: node.held,
    reach: reachFacts(node, nowMs),
    skippedLeases: node.skipped,
    unreadableLeases: node.unreadable,
    twins: node.twins,
    clockAheadMs: node.clockAheadMs,
    firewallProblem: problems.firewall ?? '',
    forwardingProblem: problems.forwarding,
    tableProblem: problems.table,
    routesProblem: problems.routes,
    hostProblem: problems.host,
    underlayMoved: problems.underlay,
    addressTaken: problems.addressTaken,
    addressForeign: problems.addressForeign,
    bridgeStale: problems.bridge,
    shadowed: problems.shadowed,
    mtu: outer !== undefined && external ? { outer, underlay: external.mtu } : undefined,
    recent,
  };
}

function reachFacts(node: Node, nowMs: number): HealthFacts['reach'] {
  const summary = node.reach?.summary();
  return summary && { peers: node.peerCount, silent: silentFacts(summary, node, nowMs) };
}

function silentFacts({ silent }: ReachSummary, { backend }: Node, nowMs: number): SilentFact[] {
  const ledger = backend?.observation?.ledger;
  return silent.map(({ peer, silentMs, hasAnswered }) => {
    const name = `${formatAddress(peer.address)} (${formatPrefix(peer.subnet)})`;
    const heardAt = ledger?.totalsOf(peer).lastHeardAt;
    const agoMs = nowMs - (heardAt?.getTime() ?? Number.NEGATIVE_INFINITY);
    // What seems to come was before somebody set the time back.
    const isHeard = agoMs >= 0 && agoMs < HEARD_MS;
    return { name, silentMs, hasAnswered, isHeard };
  });
}
