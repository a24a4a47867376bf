/** What `weft top` knows: made from polls of the daemon's pages, frozen while paused. */
import type { Sample } from '../../api/history.ts';
import type { PeerFacts, Status } from '../pages.ts';

export const SORTS = ['rate', 'subnet', 'rtt'] as const;
export type Sort = (typeof SORTS)[number];
/** Seconds of history that can be scrolled back. */
const SAMPLES_MAX = 900;

export interface Poll {
  atMs: number;
  status: Status;
  samples: readonly Sample[];
  peers: readonly PeerFacts[];
}

/** Bytes per second; null where the daemon does not count them. */
export interface PeerRate {
  /** null where nodes have no names */
  nodeName: string | null;
  subnet: string;
  publicIp: string;
  sent: number | null;
  received: number | null;
  rttMs: number | null;
  lossRatio: number | null;
}

export interface WorkerLoad {
  state: string;
  restarts: number;
  /** share of the time not spent waiting, 0 to 1; null where the daemon does not tell */
  busy: number | null;
}

export interface DropRate {
  name: string;
  perSecond: number;
  total: number;
}

/** One frame's content. */
export interface View {
  atMs: number;
  status: Status;
  /** newest last; the end is where the reader has scrolled to */
  samples: readonly Sample[];
  peers: readonly PeerRate[];
  workers: readonly WorkerLoad[];
  drops: readonly DropRate[];
  sort: Sort;
  isPaused: boolean;
  /** samples behind the newest one */
  scrolled: number;
}

export class TopModel {
  private previous: Poll | undefined;
  private samples: Sample[] = [];
  private frozen: readonly Sample[] | undefined;
  private shown: View | undefined;
  private scrolled = 0;
  private sort: Sort = 'rate';

  /** Takes a poll; while paused what is shown stays, and history goes on behind it. */
  add(poll: Poll): void {
    const newest = this.samples.at(-1)?.at ?? '';
    this.samples.push(...poll.samples.filter(({ at }) => at > newest));
    this.samples = this.samples.slice(-SAMPLES_MAX);
    const { previous } = this;
    this.previous = poll;
    if (this.frozen) return;
    this.shown = {
      atMs: poll.atMs,
      status: poll.status,
      samples: this.samples,
      peers: peerRates(poll, previous),
      workers: workerLoads(poll, previous),
      drops: dropRates(poll, previous),
      sort: this.sort,
      isPaused: false,
      scrolled: 0,
    };
  }

  togglePause(): void {
    this.frozen = this.frozen ? undefined : [...this.samples];
    this.scrolled = 0;
  }

  /** Towards the past (positive) or the present; only while paused. */
  scroll(seconds: number): void {
    if (!this.frozen) return;
    this.scrolled = Math.min(
      Math.max(0, this.scrolled + seconds),
      Math.max(0, this.frozen.length - 1),
    );
  }

  nextSort(): void {
    this.sort = SORTS[(SORTS.indexOf(this.sort) + 1) % SORTS.length] as Sort;
  }

  /** Undefined before the first poll. */
  view(): View | undefined {
    const { shown, frozen, scrolled, sort } = this;
    if (!shown) return undefined;
    const samples = frozen ? frozen.slice(0, frozen.length - scrolled) : this.samples;
    const peers = [...shown.peers].sort(ORDERS[sort]);
    return { ...shown, samples, peers, sort, isPaused: frozen !== undefined, scrolled };
  }
}

const rateOf = (peer: PeerRate): number => (peer.sent ?? 0) + (peer.received ?? 0);
const bySubnet = (a: PeerRate, b: PeerRate): number =>
  a.subnet.localeCompare(b.subnet, 'en', { numeric: true });
const ORDERS: Record<Sort, (a: PeerRate, b: PeerRate) => number> = {
  rate: (a, b) => rateOf(b) - rateOf(a) || bySubnet(a, b),
  subnet: bySubnet,
  rtt: (a, b) => (b.rttMs ?? -1) - (a.rttMs ?? -1) || bySubnet(a, b),
};

/** Growth per second; null without two values, 0 where a restart set the count back. */
function perSecond(now: number | undefined, before: number | undefined, ms: number): number | null {
  if (now === undefined || before === undefined || ms <= 0) return null;
  return Math.max(0, ((now - before) * 1000) / ms);
}

function peerRates(poll: Poll, previous: Poll | undefined): PeerRate[] {
  const before = new Map(previous?.peers.map((peer) => [`${peer.key} ${peer.subnet}`, peer]));
  const ms = poll.atMs - (previous?.atMs ?? poll.atMs);
  return poll.peers.map((peer) => {
    const old = before.get(`${peer.key} ${peer.subnet}`);
    return {
      nodeName: peer.nodeName ?? null,
      subnet: peer.subnet,
      publicIp: peer.publicIp,
      sent: perSecond(peer.sentBytes, old?.sentBytes, ms),
      received: perSecond(peer.receivedBytes, old?.receivedBytes, ms),
      rttMs: peer.rttMs ?? null,
      lossRatio: peer.lossRatio ?? null,
    };
  });
}

function workerLoads(poll: Poll, previous: Poll | undefined): WorkerLoad[] {
  const ms = poll.atMs - (previous?.atMs ?? poll.atMs);
  return (poll.status.workers ?? []).map((worker, i) => {
    const waited = perSecond(worker.waitNs, previous?.status.workers?.[i]?.waitNs, ms);
    const busy = waited === null ? null : Math.min(1, Math.max(0, 1 - waited / 1e9));
    return { state: worker.state, restarts: worker.restarts, busy };
  });
}

function dropRates(poll: Poll, previous: Poll | undefined): DropRate[] {
  const all = ({ status }: Poll): Record<string, number> => ({
    ...status.drops?.outbound,
    ...status.drops?.inbound,
  });
  const before = previous ? all(previous) : {};
  const ms = poll.atMs - (previous?.atMs ?? poll.atMs);
  return Object.entries(all(poll))
    .filter(([, total]) => total > 0)
    .map(([name, total]) => ({ name, total, perSecond: perSecond(total, before[name], ms) ?? 0 }))
    .sort((a, b) => b.perSecond - a.perSecond || b.total - a.total);
}
