/** This node's row of the matrix: whom its echoes reach, by peer and family. */
import type { Peer } from '../../cluster/peers.ts';
import type { EchoSender } from './echo.ts';

const PAYLOAD_BYTES = 56;
const TIMEOUT_MS = 500;
/** A single lost packet is no cut. */
const TRIES = 3;
/** After this no echo is begun: who asks waits little longer (server.ts), also when most of a large cluster is silent. */
const ROUND_MS = 5_000;
/** A round that is no older answers all who ask. */
const FRESH_MS = 3_000;
/** Echoes that the loss ratio looks back on. */
const RECENT = 10;
/** Peers that a round looks at: five seconds' worth of echoes. */
export const ROUND_PEERS_MAX = 1_000;
/** Background echoes of one node are at least this far apart, however many peers there are. */
const SPACING_MS_MIN = 50;

export type CellState = 'ok' | 'lost' | 'unknown';

/** What this node knows about the way to one peer in one family. */
export interface RowCell {
  key: string;
  family: 4 | 6;
  state: CellState;
  rttMs: number | null;
  lossRatio: number | null;
}

interface Record {
  state: CellState;
  rttMs: number | null;
  /** newest last */
  recent: boolean[];
}

export class OwnRow {
  private readonly peers: () => readonly Peer[];
  private readonly echo: Pick<EchoSender, 'send'>;
  private readonly records = new Map<string, Record>();
  private round: Promise<void> | undefined;
  private roundAtMs = Number.NEGATIVE_INFINITY;
  private timer: NodeJS.Timeout | undefined;
  private next = 0;

  constructor(peers: () => readonly Peer[], echo: Pick<EchoSender, 'send'>) {
    this.peers = peers;
    this.echo = echo;
  }

  /** One echo to each peer every `periodMs`, evenly spread; with many peers less often. */
  keepProbing(periodMs: number): void {
    const step = (): void => {
      const peers = this.peers();
      const peer = peers[this.next % Math.max(1, peers.length)];
      this.next = (this.next + 1) % Math.max(1, peers.length);
      if (this.next === 0) this.forget();
      if (peer && this.round === undefined) void this.probe(peer);
      const spacingMs = Math.max(SPACING_MS_MIN, periodMs / Math.max(1, peers.length));
      this.timer = setTimeout(step, spacingMs).unref();
    };
    step();
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  /** The cells after a round that is at most some seconds old; whoever asks meanwhile shares it. */
  async freshCells(): Promise<RowCell[]> {
    const isFresh = performance.now() - this.roundAtMs < FRESH_MS;
    if (!isFresh || this.round !== undefined) {
      this.round ??= this.run().finally(() => {
        this.round = undefined;
      });
      await this.round;
    }
    return this.peers().map((peer) => this.cellOf(peer));
  }

  cellOf({ key, family }: Peer): RowCell {
    const record = this.records.get(idOf({ key, family }));
    if (!record) return { key, family, state: 'unknown', rttMs: null, lossRatio: null };
    const { state, rttMs, recent } = record;
    const lossRatio = recent.filter((answered) => !answered).length / recent.length;
    return { key, family, state, rttMs, lossRatio };
  }

  private async run(): Promise<void> {
    this.forget();
    const peers = this.peers().slice(0, ROUND_PEERS_MAX);
    const untilMs = performance.now() + ROUND_MS;
    await Promise.all(
      peers.map(async (peer) => {
        for (let i = 0; i < TRIES && performance.now() < untilMs; i++)
          if (await this.probe(peer)) return;
      }),
    );
    this.roundAtMs = performance.now();
  }

  private async probe(peer: Peer): Promise<boolean> {
    const options = { payloadBytes: PAYLOAD_BYTES, timeoutMs: TIMEOUT_MS };
    const result = await this.echo.send(peer.subnet.words, options);
    const answered = result.state === 'answered';
    const earlier = this.records.get(idOf(peer));
    const recent = [...(earlier?.recent ?? []), answered].slice(-RECENT);
    const isCut = recent.length >= TRIES && !recent.slice(-TRIES).includes(true);
    const state = answered ? 'ok' : isCut ? 'lost' : (earlier?.state ?? 'unknown');
    const rttMs = answered ? result.rttMs : null;
    this.records.set(idOf(peer), { state, rttMs, recent });
    return answered;
  }

  /** Of peers that are gone. */
  private forget(): void {
    const wanted = new Set(this.peers().map(idOf));
    for (const id of this.records.keys()) if (!wanted.has(id)) this.records.delete(id);
  }
}

function idOf({ key, family }: Pick<Peer, 'key' | 'family'>): string {
  return `${key} ${family}`;
}
