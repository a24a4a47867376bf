/** This node's row of the matrix: whom its echoes reach, by peer and family. */
import type { Peer } from '../../cluster/peers.ts';
import { getOrMake } from '../../shared/memo.ts';
import type { EchoSender } from './echo.ts';

const PAYLOAD_BYTES = 56;
/** Of a round, for which somebody waits. */
const TIMEOUT_MS = 500;
/** Of a background echo: a machine that is too busy to answer at once is not cut off. */
const PATIENT_TIMEOUT_MS = 1_500;
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
/** Background echoes of one node are on average at least this far apart, however many peers there are and however many of them are silent. */
export const SPACING_MS_MIN = 50;
/** Echoes that are due leave together: to wake up for each would cost more than to send it. */
const GROUP = 4;
/** After a lost echo the next one is due this early; but a peer that answers none of {@link RECENT} waits for its turn like everybody. */
const AGAIN_MS = 500;
/** How late a new peer may be noticed. */
const LOOK_MS = 1_000;
/** A peer that has never answered may still be starting. */
const GRACE_MS = 15_000;

export type CellState = 'ok' | 'lost' | 'unknown';

/** What this node knows about the way to one peer in one family. */
export interface RowCell {
  key: string;
  family: 4 | 6;
  state: CellState;
  rttMs: number | null;
  lossRatio: number | null;
}

/** What the background echoes say about one peer. */
export interface Standing {
  /** as in the row; but a peer that has never answered is unknown for {@link GRACE_MS} */
  state: CellState;
  /** newest round trip; null: not answered */
  rttMs: number | null;
  /** since its last answer; of a peer that has never answered, since it was learned of */
  silentMs: number;
  hasAnswered: boolean;
}

interface Record {
  peer: Peer;
  state: CellState;
  rttMs: number | null;
  /** newest last */
  recent: boolean[];
  /** of the last answer, on the monotonic clock; undefined: none yet */
  answeredAtMs: number | undefined;
}

export class OwnRow {
  private readonly peers: () => readonly Peer[];
  private readonly echo: Pick<EchoSender, 'send'>;
  private readonly records = new Map<string, Record>();
  private readonly clock: () => number;
  private readonly learnedAtMs = new Map<string, number>();
  /** peers whose next echo does not wait for their turn, by id: they are new, or one was lost */
  private readonly doubts = new Map<string, { peer: Peer; dueAtMs: number }>();
  private round: Promise<void> | undefined;
  private roundAtMs = Number.NEGATIVE_INFINITY;
  private timer: NodeJS.Timeout | undefined;
  /** as of the last look at them, see {@link learn} */
  private known: readonly Peer[] | undefined;
  private learnedLastMs = Number.NEGATIVE_INFINITY;
  private next = 0;
  private nextAtMs = Number.NEGATIVE_INFINITY;
  private wasDoubt = false;

  /** `clock`: monotonic, ms. */
  constructor(
    peers: () => readonly Peer[],
    echo: Pick<EchoSender, 'send'>,
    clock: () => number = () => performance.now(),
  ) {
    this.peers = peers;
    this.echo = echo;
    this.clock = clock;
  }

  /** One echo to each peer every `periodMs`, spread evenly, with many peers less often; sooner where there is doubt. */
  keepProbing(periodMs: number): void {
    const step = (): void => {
      let sent = 0;
      while (sent < GROUP && this.round === undefined && this.probeNext(periodMs)) sent++;
      const waitMs = Math.max(sent * SPACING_MS_MIN, this.waitMs());
      this.timer = setTimeout(step, waitMs).unref();
    };
    step();
  }

  /**
   * At most one echo; false when none is due. Doubts and turns alternate where both are due: many silent peers do not keep the others
   * waiting.
   */
  probeNext(periodMs: number): boolean {
    this.learn();
    const nowMs = this.clock();
    const isTurn = nowMs >= this.nextAtMs;
    const doubted = isTurn && this.wasDoubt ? undefined : this.takeDoubt(nowMs);
    this.wasDoubt = doubted !== undefined;
    if (doubted) {
      void this.probe(doubted, PATIENT_TIMEOUT_MS);
      return true;
    }
    if (!isTurn) return false;
    const peers = this.known ?? [];
    const count = Math.max(1, peers.length);
    const peer = peers[this.next % count];
    this.next = (this.next + 1) % count;
    // Turns that were due during the rest of a group are made up for.
    const fromMs = Math.max(this.nextAtMs, nowMs - GROUP * SPACING_MS_MIN);
    this.nextAtMs = fromMs + periodMs / count;
    if (!peer) return false;
    void this.probe(peer, PATIENT_TIMEOUT_MS);
    return true;
  }

  private takeDoubt(nowMs: number): Peer | undefined {
    for (const [id, { peer, dueAtMs }] of this.doubts) {
      if (dueAtMs > nowMs) continue;
      this.doubts.delete(id);
      return peer;
    }
    return undefined;
  }

  private waitMs(): number {
    const nowMs = this.clock();
    let atMs = this.nextAtMs;
    for (const { dueAtMs } of this.doubts.values()) {
      // Of many silent peers the first is due.
      if (dueAtMs <= nowMs) return SPACING_MS_MIN;
      atMs = Math.min(atMs, dueAtMs);
    }
    return Math.min(LOOK_MS, Math.max(SPACING_MS_MIN, atMs - nowMs));
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  standingOf(peer: Peer): Standing {
    const id = idOf(peer);
    return this.standing(id, this.records.get(id), this.clock());
  }

  /** How many peers there are, those included of which nothing is known yet. */
  get size(): number {
    return (this.known ?? this.peers()).length;
  }

  /** Each peer of which something is known. */
  *standings(): Generator<readonly [Peer, Standing]> {
    const nowMs = this.clock();
    for (const [id, record] of this.records) yield [record.peer, this.standing(id, record, nowMs)];
  }

  private standing(id: string, record: Record | undefined, nowMs: number): Standing {
    const { state = 'unknown', rttMs = null, answeredAtMs } = record ?? {};
    const silentMs = nowMs - (answeredAtMs ?? this.learnedAtMs.get(id) ?? nowMs);
    const hasAnswered = answeredAtMs !== undefined;
    const isEarly = !hasAnswered && silentMs < GRACE_MS;
    return { state: isEarly ? 'unknown' : state, rttMs, silentMs, hasAnswered };
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

  cellOf(peer: Peer): RowCell {
    const { key, family } = peer;
    const record = this.records.get(idOf(peer));
    if (!record) return { key, family, state: 'unknown', rttMs: null, lossRatio: null };
    const { state, rttMs, recent } = record;
    const lossRatio = recent.filter((answered) => !answered).length / recent.length;
    return { key, family, state, rttMs, lossRatio };
  }

  private async run(): Promise<void> {
    this.learn();
    const peers = this.peers().slice(0, ROUND_PEERS_MAX);
    const untilMs = performance.now() + ROUND_MS;
    await Promise.all(
      peers.map(async (peer) => {
        for (let i = 0; i < TRIES && performance.now() < untilMs; i++)
          if (await this.probe(peer, TIMEOUT_MS)) return;
      }),
    );
    this.roundAtMs = performance.now();
  }

  private async probe(peer: Peer, timeoutMs: number): Promise<boolean> {
    const options = { payloadBytes: PAYLOAD_BYTES, timeoutMs };
    const result = await this.echo.send(peer.subnet.words, options);
    const answered = result.state === 'answered';
    const id = idOf(peer);
    // It may have gone meanwhile.
    if (!this.learnedAtMs.has(id)) return answered;
    const earlier = this.records.get(id);
    const recent = [...(earlier?.recent ?? []), answered].slice(-RECENT);
    const isCut = recent.length >= TRIES && !recent.slice(-TRIES).includes(true);
    const state = answered ? 'ok' : isCut ? 'lost' : (earlier?.state ?? 'unknown');
    const rttMs = answered ? result.rttMs : null;
    const answeredAtMs = answered ? this.clock() : earlier?.answeredAtMs;
    this.records.set(id, { peer, state, rttMs, recent, answeredAtMs });
    const isSilent = recent.length === RECENT && !recent.includes(true);
    if (answered || isSilent) this.doubts.delete(id);
    else this.doubts.set(id, { peer, dueAtMs: this.clock() + AGAIN_MS });
    return answered;
  }

  /** Notices who is new and who is gone: lists are never changed in place. Looks at all peers, so not at each of their changes. */
  private learn(): void {
    const nowMs = this.clock();
    if (nowMs - this.learnedLastMs < LOOK_MS) return;
    const peers = this.peers();
    if (peers === this.known) return;
    const before = this.known ?? [];
    this.known = peers;
    this.learnedLastMs = nowMs;
    const { gone, come, changed } = compare(before, peers);
    const stay = new Set(come.map(idOf));
    for (const id of gone.map(idOf)) {
      if (stay.has(id)) continue;
      this.learnedAtMs.delete(id);
      this.records.delete(id);
      this.doubts.delete(id);
    }
    for (const peer of changed) {
      const record = this.records.get(idOf(peer));
      if (record) record.peer = peer;
    }
    for (const peer of come) {
      const id = idOf(peer);
      const record = this.records.get(id);
      if (record) record.peer = peer;
      if (this.learnedAtMs.has(id)) continue;
      this.learnedAtMs.set(id, nowMs);
      this.doubts.set(id, { peer, dueAtMs: nowMs });
    }
  }
}

/**
 * Who went from one list to the next, who came, and who is another object. Peers keep their order and new ones come last, so a walk along both lists is enough;
 * who changed places all the same has gone and come.
 */
function compare(
  before: readonly Peer[],
  now: readonly Peer[],
): { gone: Peer[]; come: Peer[]; changed: Peer[] } {
  const gone: Peer[] = [];
  const changed: Peer[] = [];
  let at = 0;
  for (const peer of before) {
    const other = now[at];
    const isSame = other === peer;
    if (!other || !(isSame || idOf(other) === idOf(peer))) {
      gone.push(peer);
      continue;
    }
    if (!isSame) changed.push(other);
    at++;
  }
  return { gone, come: now.slice(at), changed };
}

/** A peer is asked for its id again and again. */
const ids = new WeakMap<object, string>();

function idOf(peer: Pick<Peer, 'key' | 'family'>): string {
  return getOrMake(ids, peer, () => `${peer.key} ${peer.family}`);
}
