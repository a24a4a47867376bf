/** Reachability of all by all: own echoes, other daemons' rows, and the answers that this one gives them. */
import type { ReachNode, ReachPage } from '../../api/reach.ts';
import type { Peer } from '../../cluster/peers.ts';
import type { Registry } from '../../cluster/registry.ts';
import { sameWords, type Words } from '../../shared/address.ts';
import { programVersion } from '../../shared/version.ts';
import type { Log } from '../log/log.ts';
import { askRow } from './client.ts';
import { type EchoAddon, EchoSender } from './echo.ts';
import { matrixOf, peerNodes } from './matrix.ts';
import type { Question, Row } from './protocol.ts';
import { OwnRow } from './row.ts';
import { ReachServer } from './server.ts';
import { type ReachSummary, summaryOf } from './summary.ts';

/** Nodes that are asked at the same time. */
const ASKED_AT_ONCE = 16;
/** Peers that are asked to relay, one after the other, before a node's row counts as not to be had. */
const RELAYS_MAX = 3;
const MATRIX_FRESH_MS = 2_000;
/** Pages, metrics and health ask for the summary, each of them often, and it looks at every peer that was sent an echo. */
const SUMMARY_FRESH_MS = 1_000;

export interface ReachContext {
  addon: EchoAddon;
  log: Log;
  /** this node in the matrix */
  self: ReachNode;
  /** whether its leases name their nodes */
  registry: Pick<Registry, 'keysAreNodeNames'>;
  /** the addresses of the overlay devices */
  sources: Readonly<Partial<Record<4 | 6, Words>>>;
  /** the device of this host that has an address, if one has it: then this host would answer in a peer's place */
  deviceWith?: (address: Words) => string | undefined;
  peers: () => readonly Peer[];
  /** that this node gives its pods, bytes */
  podMtu: () => number;
  /** 0 = no background echoes */
  probeMs: number;
  /** 0 = neither answers nor asks */
  port: number;
}

/** Runs from {@link start} to {@link stop}; nothing of it holds up the daemon. */
export class Reach {
  readonly echo: EchoSender;
  readonly row: OwnRow;
  private readonly context: ReachContext;
  private readonly version = programVersion();
  private readonly server: ReachServer;
  private collecting: Promise<ReachPage> | undefined;
  private newest: { matrix: ReachPage; atMs: number } | undefined;
  private summed: { summary: ReachSummary; atMs: number } | undefined;

  constructor(context: ReachContext) {
    this.context = context;
    this.echo = new EchoSender(context.addon, context.sources, context.deviceWith);
    this.row = new OwnRow(context.peers, this.echo);
    const { sources, port, log } = context;
    let said = '';
    this.server = new ReachServer({
      addresses: Object.values(sources),
      port,
      isPeer: (address) => context.peers().some(({ subnet }) => sameWords(subnet.words, address)),
      answer: (question) => this.answer(question),
      onProblem: (message) => {
        if (message !== said) log.warn(message);
        said = message;
      },
    });
  }

  start(): void {
    const { probeMs, port } = this.context;
    if (probeMs > 0) this.row.keepProbing(probeMs);
    if (port > 0) this.server.start();
  }

  stop(): void {
    this.server.stop();
    this.row.stop();
    this.echo.close();
  }

  /** Who answers the background echoes, of at most a second ago; undefined where none are sent. */
  summary(): ReachSummary | undefined {
    if (this.context.probeMs === 0) return undefined;
    const nowMs = performance.now();
    if (!this.summed || nowMs - this.summed.atMs >= SUMMARY_FRESH_MS)
      this.summed = { summary: summaryOf(this.row), atMs: nowMs };
    return this.summed.summary;
  }

  /** Never older than some seconds; whoever asks meanwhile shares the work. */
  matrix(): Promise<ReachPage> {
    const { newest } = this;
    if (newest && performance.now() - newest.atMs < MATRIX_FRESH_MS)
      return Promise.resolve(newest.matrix);
    this.collecting ??= this.collect().finally(() => {
      this.collecting = undefined;
    });
    return this.collecting;
  }

  private async collect(): Promise<ReachPage> {
    const { self } = this.context;
    const nodes = peerNodes(this.context.peers());
    const own = await this.ownRow();
    const rows = new Map<string, Row>([[self.key, own]]);
    if (this.context.port > 0) {
      const [reached, lost] = (['ok', 'lost'] as const).map(
        (wanted) => new Set(own.cells.flatMap(({ key, state }) => (state === wanted ? key : []))),
      );
      const near = nodes.filter(({ key }) => reached?.has(key));
      await inParallel(near, (node) => this.askDirectly(node, rows));
      const far = nodes.filter(({ key }) => lost?.has(key) && !reached?.has(key));
      const relays = relaysOf(rows, self.key);
      await inParallel(far, (node) =>
        this.askThroughOthers(node, relays.get(node.key) ?? [], rows),
      );
    }
    const matrix = matrixOf([self, ...nodes], rows, this.context.registry);
    this.newest = { matrix, atMs: performance.now() };
    return matrix;
  }

  private async ownRow(): Promise<Row> {
    const { self, podMtu } = this.context;
    return {
      key: self.key,
      mtu: podMtu(),
      version: this.version,
      cells: await this.row.freshCells(),
    };
  }

  private async askDirectly(node: ReachNode, rows: Map<string, Row>): Promise<void> {
    try {
      rows.set(node.key, await this.ask(node.key, node.key));
      node.kind = 'weft';
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ECONNREFUSED') node.kind = 'other';
    }
  }

  private async askThroughOthers(
    node: ReachNode,
    relays: readonly string[],
    rows: Map<string, Row>,
  ): Promise<void> {
    for (const relay of relays) {
      try {
        rows.set(node.key, await this.ask(relay, node.key));
        node.kind = 'weft';
        node.via = relay;
        return;
      } catch {
        // The next one may know more.
      }
    }
  }

  /** Asks one peer for the row of `of`, over the family in which its echoes come back. */
  private async ask(peerKey: string, of: string): Promise<Row> {
    const { peers, sources, port } = this.context;
    const ways = peers().filter(({ key }) => key === peerKey);
    const peer = ways.find((way) => this.row.cellOf(way).state === 'ok') ?? ways[0];
    const from = peer && sources[peer.family];
    if (!peer || !from) throw new Error(`${peerKey} is not a peer`);
    const way = { from, to: peer.subnet.words, port };
    const row = await askRow(way, of === peerKey ? undefined : of);
    if (row.key !== of) throw new Error(`asked for the row of ${of}, got another one's`);
    return row;
  }

  private async answer({ of }: Question): Promise<Row> {
    const own = await this.ownRow();
    if (of === undefined || of === own.key) return own;
    const cells = own.cells.filter(({ key }) => key === of);
    if (!cells.some(({ state }) => state === 'ok')) throw new Error('that node is not reached');
    return this.ask(of, of);
  }
}

/** By node: keys of some that say that they reach it. A few are enough. */
function relaysOf(rows: ReadonlyMap<string, Row>, self: string): Map<string, string[]> {
  const relays = new Map<string, string[]>();
  const others = [...rows.values()].filter(({ key }) => key !== self);
  for (const { key, cells } of others) {
    for (const { key: to, state } of cells) {
      if (state !== 'ok') continue;
      const known = relays.get(to) ?? [];
      relays.set(to, known);
      if (!known.includes(key) && known.length < RELAYS_MAX) known.push(key);
    }
  }
  return relays;
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = [...items];
  const worker = async (): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(ASKED_AT_ONCE, items.length) }, worker));
}
