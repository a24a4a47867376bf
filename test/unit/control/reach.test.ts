/** Reachability without a daemon: protocol, server on loopback, rounds, the matrix. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, it, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Peer } from '../../../src/cluster/peers.ts';
import { askRow } from '../../../src/control/reach/client.ts';
import type { EchoSender } from '../../../src/control/reach/echo.ts';
import { matrixOf, peerNodes, selfNode } from '../../../src/control/reach/matrix.ts';
import {
  formatQuestion,
  formatRefusal,
  formatRow,
  parseQuestion,
  parseRow,
  type Row,
} from '../../../src/control/reach/protocol.ts';
import { OwnRow, type RowCell, SPACING_MS_MIN } from '../../../src/control/reach/row.ts';
import { QUESTIONS_PER_WINDOW, ReachServer, WINDOW_MS } from '../../../src/control/reach/server.ts';
import { summaryOf } from '../../../src/control/reach/summary.ts';
import { type Prefix, parseAddress, parsePrefix, type Words } from '../../../src/shared/address.ts';
import { until } from '../../support/until.ts';

const words = (text: string): Words => parseAddress(text) as Words;
const prefix = (text: string): Prefix => parsePrefix(text) as Prefix;

function peer(n: number, family: 4 | 6 = 4, subnet?: string): Peer {
  const own = family === 4 ? `10.244.${n}.0/24` : `fd00:244:0:${n}::/64`;
  const address = words(family === 4 ? `10.99.0.${n}` : `fd00:99::${n}`);
  const rest = { address, port: 8472, mac: { high: 0, low: 0 } };
  return { key: `10.244.${n}.0-24`, family, subnet: prefix(subnet ?? own), ...rest };
}

const cell = (n: number, state: RowCell['state'], more: Partial<RowCell> = {}): RowCell => ({
  key: `10.244.${n}.0-24`,
  family: 4,
  state,
  rttMs: state === 'ok' ? 0.5 : null,
  lossRatio: state === 'ok' ? 0 : 1,
  ...more,
});

describe('what daemons say to each other', () => {
  it('a row comes back as it was, without what nobody looked at', () => {
    const cells = [cell(1, 'ok'), cell(2, 'lost'), cell(3, 'unknown')];
    const row: Row = { key: 'k', mtu: 1450, cells };
    assert.deepEqual(parseRow(formatRow(row)), { ...row, cells: row.cells.slice(0, 2) });
    assert.equal(parseRow(formatRow({ key: 'k', cells })).mtu, undefined, 'of an older weft');
    for (const mtu of [0, 70_000, 1.5])
      assert.throws(() => parseRow(formatRow({ ...row, mtu })), `${mtu}`);
  });

  it('a question comes back as it was', () => {
    assert.equal(parseQuestion(formatQuestion()).of, undefined);
    assert.equal(parseQuestion(formatQuestion('10.244.9.0-24')).of, '10.244.9.0-24');
  });

  it('a refusal is an error with its words', () => {
    assert.throws(() => parseRow(formatRefusal('not now')), /not now/);
  });

  const head = { weft: 'reach', version: 1 };
  const bad = ['a', 4, 'ok', 1, 0];
  for (const line of [
    '',
    'null',
    '[]',
    '{"weft":"reach"}',
    JSON.stringify({ ...head, version: 2 }),
    JSON.stringify({ ...head, of: 'x'.repeat(254) }),
    JSON.stringify({ ...head, of: 3 }),
    JSON.stringify({ ...head, more: 1 }),
    '{"weft":"reach","version":1,"__proto__":{"of":"x"}}',
  ])
    it(`no question: ${line.slice(0, 60)}`, () => assert.throws(() => parseQuestion(line)));
  for (const cells of [
    [[...bad.slice(0, 1), 5, 'ok', 1, 0]],
    [['a', 4, 'fine', 1, 0]],
    [['a', 4, 'ok', -1, 0]],
    [['a', 4, 'ok', 1, 2]],
    [['a'.repeat(254), 4, 'ok', 1, 0]],
    Array.from({ length: 1001 }, () => bad),
    'x',
  ])
    it(`no row: ${JSON.stringify(cells).slice(0, 40)}`, () => {
      assert.throws(() => parseRow(JSON.stringify({ ...head, key: 'k', cells })));
    });
});

describe('the server on loopback', () => {
  const ROW: Row = { key: '10.244.1.0-24', cells: [cell(2, 'ok')] };
  const PEER = words('127.0.0.2');
  const problems: string[] = [];
  let port: number;
  let server: ReachServer;

  before(async () => {
    const probe = net.createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    port = (probe.address() as net.AddressInfo).port;
    // It is taken at first: the server must go on trying.
    server = new ReachServer({
      addresses: [words('127.0.0.1')],
      port,
      isPeer: (address) => (address[3] & 0xff) === 2,
      answer: async ({ of }) => {
        if (of === undefined) return ROW;
        throw new Error('that node is not reached');
      },
      onProblem: (message) => problems.push(message),
    });
    server.start();
    await until('it says that the port is taken', () => problems.length > 0);
    await new Promise((resolve) => probe.close(resolve));
    await until('it listens', () =>
      ask().then(
        () => true,
        () => false,
      ),
    );
  });
  after(() => server.stop());

  const ask = (of?: string, from = PEER): Promise<Row> =>
    askRow({ from, to: words('127.0.0.1'), port }, of);
  const connect = async (host = '127.0.0.2'): Promise<net.Socket> => {
    const socket = net.connect({ port, host: '127.0.0.1', localAddress: host });
    socket.on('error', () => undefined).resume();
    await once(socket, 'connect');
    return socket;
  };

  it('says what is wrong, and begins when the port is free', () => {
    assert.match(problems[0] as string, /can't listen on 127\.0\.0\.1, port \d+ .*EADDRINUSE/);
  });

  it('answers a peer, and refuses with a word', async () => {
    assert.deepEqual(await ask(), ROW);
    await assert.rejects(ask('x'), /not reached/);
  });

  it('closes on everybody else without a byte', async () => {
    await assert.rejects(ask(undefined, words('127.0.0.3')), /ECONNRESET|ended before/);
  });

  it('hostile bytes, endless lines and silence end the connection; others are answered meanwhile', async () => {
    const junk = await connect();
    junk.write(Buffer.concat([randomBytes(300), Buffer.from('\n')]));
    const endless = await connect();
    endless.write('x'.repeat(1000));
    const silent = await connect();
    const dripping = await connect();
    const drip = setInterval(() => dripping.write('{'), 300);
    assert.deepEqual(await ask(), ROW);
    const all = [junk, endless, silent, dripping];
    await until('each is closed', () => all.every((socket) => socket.closed));
    clearInterval(drip);
    for (const socket of all) assert.equal(socket.bytesRead, 0);
    assert.deepEqual(await ask(), ROW);
  });

  it('connections that ask nothing, of one peer and of several, keep nobody out', async () => {
    const open: net.Socket[] = [];
    for (let i = 0; i < 40; i++) open.push(await connect());
    assert.deepEqual(await ask(), ROW, 'of one');
    for (let i = 0; i < 100; i++) open.push(await connect(`127.1.${1 + (i % 20)}.2`));
    assert.deepEqual(await ask(), ROW, 'of several');
    for (const socket of open) socket.destroy();
  });

  it('one peer asks so often and no more', async () => {
    const asked = 2 * QUESTIONS_PER_WINDOW + 10;
    const startedMs = performance.now();
    const results = await Promise.allSettled(Array.from({ length: asked }, () => ask()));
    const answered = results.filter(({ status }) => status === 'fulfilled').length;
    // The rest of a window that had begun, and those that began meanwhile: more than one on a slow machine only.
    const windows = 2 + Math.floor((performance.now() - startedMs) / WINDOW_MS);
    assert.ok(answered > 0 && answered <= QUESTIONS_PER_WINDOW * windows, `${answered}`);
  });
});

test('a far end that says nothing, too much or junk is an error for the asker', async () => {
  for (const say of ['junk\n', `${'x'.repeat(300_000)}`, formatRefusal('no')]) {
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined).resume();
      socket.end(say);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    const way = { from: words('127.0.0.1'), to: words('127.0.0.1'), port };
    await assert.rejects(askRow(way));
    server.close();
  }
});

describe('rounds (the echo sender is a stand-in)', () => {
  it('tries three times, shares a round, forgets peers that are gone', async () => {
    let asked: string[] = [];
    let peers = [peer(1), peer(2)];
    const row = new OwnRow(() => peers, {
      send: async (address) => {
        asked.push(String(address[3] & 0xff00));
        await sleep(1);
        if ((address[3] & 0xff00) === 0x200) return { state: 'lost' };
        return { state: 'answered', rttMs: 1, ttl: 64, payloadBytes: 56 };
      },
    });
    const [first, second] = await Promise.all([row.freshCells(), row.freshCells()]);
    assert.deepEqual(first, second);
    assert.deepEqual(
      first.map(({ state, rttMs, lossRatio }) => [state, rttMs, lossRatio]),
      [
        ['ok', 1, 0],
        ['lost', null, 1],
      ],
    );
    assert.equal(asked.length, 4);
    asked = [];
    assert.deepEqual(await row.freshCells(), first);
    assert.equal(asked.length, 0);
    peers = [peer(3)];
    assert.equal((await row.freshCells())[0]?.state, 'unknown');
  });
});

describe('background echoes (the sender and the clock are stand-ins)', () => {
  const PERIOD_MS = 10_000;
  const one = (n: number): Peer => peer(n, 4, `10.${n >> 8}.${n & 255}.0/24`);
  const numberOf = (address: Words): number => (address[3] >>> 8) & 0xffff;

  class Cluster {
    nowMs = 0;
    silent = new Set<number>();
    /** when each echo was sent, and to whom */
    readonly sent: { atMs: number; to: number }[] = [];
    private readonly waiting: { atMs: number; done: () => void }[] = [];
    peers: Peer[];
    readonly row: OwnRow;

    constructor(peers: Peer[]) {
      this.peers = peers;
      const send: EchoSender['send'] = async (address, { timeoutMs }) => {
        const to = numberOf(address);
        this.sent.push({ atMs: this.nowMs, to });
        if (!this.silent.has(to)) return { state: 'answered', rttMs: 1, ttl: 64, payloadBytes: 56 };
        const atMs = this.nowMs + timeoutMs;
        await new Promise<void>((done) => this.waiting.push({ atMs, done }));
        return { state: 'lost' };
      };
      this.row = new OwnRow(
        () => this.peers,
        { send },
        () => this.nowMs,
      );
    }

    /** Until it holds or the time is over; how long that took. */
    async run(limitMs: number, holds: () => boolean = () => false): Promise<number> {
      const startMs = this.nowMs;
      for (; this.nowMs - startMs < limitMs && !holds(); this.nowMs += SPACING_MS_MIN) {
        this.row.probeNext(PERIOD_MS);
        while ((this.waiting[0]?.atMs ?? this.nowMs + 1) <= this.nowMs)
          this.waiting.shift()?.done();
        await new Promise(setImmediate);
      }
      return this.nowMs - startMs;
    }

    states(): string[] {
      return this.peers.map((peer) => this.row.standingOf(peer).state);
    }

    sentTo(to: number): number[] {
      return this.sent.flatMap((echo) => (echo.to === to ? echo.atMs : []));
    }
  }

  it('new peers get an echo at once, then each its turn', async () => {
    const cluster = new Cluster([one(1), one(2)]);
    await cluster.run(1_000);
    assert.deepEqual(cluster.states(), ['ok', 'ok']);
    cluster.sent.length = 0;
    await cluster.run(60_000);
    assert.equal(cluster.sent.length, 12);
  });

  it('who stays keeps its state, whoever comes, goes, changes or moves in the list', async () => {
    const cluster = new Cluster([one(1), one(2), one(3), one(4)]);
    await cluster.run(15_000);
    assert.deepEqual(cluster.states(), ['ok', 'ok', 'ok', 'ok']);
    const [first, , third, fourth] = cluster.peers as [Peer, Peer, Peer, Peer];
    for (const n of [1, 2, 3, 4, 5]) cluster.silent.add(n);
    const changed = { ...third, port: 4789 };
    cluster.peers = [changed, one(5), first, fourth];
    await cluster.run(1_200);
    assert.deepEqual(cluster.states(), ['ok', 'unknown', 'ok', 'ok']);
    cluster.peers = [fourth, changed, first, one(2)];
    await cluster.run(1_200);
    assert.deepEqual(cluster.states(), ['ok', 'ok', 'ok', 'unknown']);
  });

  it('a peer that falls silent is lost within 16 s, whenever it does', async () => {
    for (const offsetMs of [0, 50, 2_500, 4_950, 5_000, 7_300, 9_950]) {
      const cluster = new Cluster([one(1), one(2)]);
      await cluster.run(20_000 + offsetMs);
      cluster.silent.add(2);
      const tookMs = await cluster.run(60_000, () => cluster.states()[1] === 'lost');
      assert.ok(tookMs <= 16_000, `${tookMs} ms`);
      assert.equal(cluster.states()[0], 'ok');
      const { silentMs, hasAnswered } = cluster.row.standingOf(cluster.peers[1] as Peer);
      assert.ok(hasAnswered && silentMs >= tookMs && silentMs <= tookMs + PERIOD_MS);
    }
  });

  it('one lost echo is not a cut: the next follows soon', async () => {
    const cluster = new Cluster([one(1)]);
    await cluster.run(5_000);
    cluster.silent.add(1);
    await cluster.run(60_000, () => cluster.sent.length === 3);
    cluster.silent.clear();
    assert.equal(cluster.states()[0], 'ok');
    await cluster.run(3_000);
    const [before = 0, again = 0] = cluster.sentTo(1).slice(-2);
    assert.equal(again - before, 2_000);
    cluster.sent.length = 0;
    await cluster.run(30_000);
    assert.equal(cluster.sent.length, 3, 'then it has its turn again and no more');
  });

  it('a peer that answers again is reachable at its next echo', async () => {
    const cluster = new Cluster([one(1)]);
    await cluster.run(5_000);
    cluster.silent.add(1);
    await cluster.run(120_000);
    assert.equal(cluster.states()[0], 'lost');
    cluster.silent.clear();
    assert.ok((await cluster.run(60_000, () => cluster.states()[0] === 'ok')) <= PERIOD_MS);
  });

  it('a peer that never answers is unknown for a while, then lost', async () => {
    const cluster = new Cluster([one(1)]);
    await cluster.run(5_000);
    cluster.silent.add(2);
    cluster.peers = [one(1), one(2)];
    await cluster.run(10_000);
    assert.deepEqual(cluster.states(), ['ok', 'unknown']);
    await cluster.run(6_000);
    assert.deepEqual(cluster.states(), ['ok', 'lost']);
  });

  it('a peer that leaves is forgotten, with the echo that was under way', async () => {
    const cluster = new Cluster([one(1), one(2)]);
    cluster.silent.add(2);
    await cluster.run(30_000);
    cluster.peers = [one(1)];
    cluster.sent.length = 0;
    await cluster.run(30_000);
    assert.deepEqual(cluster.sentTo(2), []);
    assert.deepEqual(summaryOf(cluster.row).silent, []);
  });

  it('a thousand silent peers are at most twenty echoes a second, and hide nobody', async () => {
    const numbers = Array.from({ length: 1_100 }, (_, i) => i + 1);
    const cluster = new Cluster(numbers.map(one));
    cluster.silent = new Set(numbers.slice(100));
    await cluster.run(600_000);
    const bySecond = new Map<number, number>();
    for (const { atMs } of cluster.sent) {
      const at = Math.floor(atMs / 1_000);
      bySecond.set(at, (bySecond.get(at) ?? 0) + 1);
    }
    assert.ok(Math.max(...bySecond.values()) <= 20);
    const { reachable, silent, unknown } = summaryOf(cluster.row);
    assert.deepEqual([reachable, silent.length, unknown], [100, 1_000, 0]);
    assert.ok(cluster.sentTo(1).length > 5, 'those that answer keep their turns');
  });

  it('in sum: who answers, who does not, and the round trips', async () => {
    const cluster = new Cluster([one(1), one(2), one(3)]);
    assert.equal(summaryOf(cluster.row).unknown, 3);
    await cluster.run(20_000);
    cluster.silent.add(3);
    await cluster.run(30_000);
    const { reachable, silent, unknown, rttMs } = summaryOf(cluster.row);
    assert.deepEqual([reachable, unknown, rttMs], [2, 0, { least: 1, most: 1 }]);
    assert.deepEqual(
      silent.map(({ peer }) => peer),
      [cluster.peers[2]],
    );
  });
});

describe('the matrix', () => {
  const self = selfNode('10.244.1.0-24', [prefix('10.244.1.0/24')], ['10.99.0.10']);

  it('names nodes by their addresses as numbers', () => {
    const { nodes } = matrixOf([self, ...peerNodes([peer(9), peer(200), peer(2)])], new Map());
    assert.deepEqual(
      nodes.map(({ name, publicIps }) => `${name} ${publicIps}`),
      ['n1 10.99.0.2', 'n2 10.99.0.9', 'n3 10.99.0.10', 'n4 10.99.0.200'],
    );
  });

  it('has names of nodes where the registry does', () => {
    const names = (registry: Parameters<typeof matrixOf>[2]) =>
      matrixOf([self, ...peerNodes([peer(2)])], new Map(), registry).nodes.map(
        ({ nodeName }) => nodeName,
      );
    assert.deepEqual(names({}), [null, null]);
    assert.deepEqual(names({ keysAreNodeNames: true }), ['10.244.2.0-24', self.key]);
  });

  it('a dual-stack node is one, and one family without an answer is a cut', () => {
    const nodes = [self, ...peerNodes([peer(2, 6), peer(2, 4)])];
    assert.deepEqual(nodes[1]?.subnets, ['10.244.2.0/24', 'fd00:244:0:2::/64']);
    const cells = [cell(2, 'ok'), cell(2, 'lost', { family: 6 })];
    const { cells: found } = matrixOf(nodes, new Map([[self.key, { key: self.key, cells }]]));
    const there = found.find(({ from }) => from === self.key);
    assert.deepEqual([there?.state, there?.rttMs, there?.lostFamilies], ['lost', 0.5, [6]]);
    assert.equal(found.find(({ to }) => to === self.key)?.state, 'unknown');
  });

  it("shows each node's MTU and version as it says itself", () => {
    const rows = new Map([[self.key, { key: self.key, mtu: 1400, version: '1.2.3', cells: [] }]]);
    const { nodes } = matrixOf([self, ...peerNodes([peer(2)])], rows);
    assert.deepEqual(
      nodes.map(({ mtu, version }) => [mtu, version]),
      [
        [null, null],
        [1400, '1.2.3'],
      ],
    );
  });

  it('leaves out what others say about nodes that are not listed', () => {
    const row: Row = { key: '10.244.2.0-24', cells: [cell(77, 'lost'), cell(1, 'ok')] };
    const nodes = [self, ...peerNodes([peer(2)])];
    const { cells } = matrixOf(nodes, new Map([[row.key, row]]));
    assert.equal(cells.length, 2);
    assert.deepEqual(cells.map(({ state }) => state).sort(), ['ok', 'unknown']);
  });

  it('of many nodes only the own row and the cuts', () => {
    const peers = Array.from({ length: 150 }, (_, i) => peer(i + 2));
    const nodes = [self, ...peerNodes(peers)];
    const rows = new Map<string, Row>([
      [self.key, { key: self.key, cells: peers.map((_, i) => cell(i + 2, 'ok')) }],
      ['10.244.3.0-24', { key: '10.244.3.0-24', cells: [cell(4, 'lost'), cell(5, 'ok')] }],
    ]);
    const { cells, complete } = matrixOf(nodes, rows);
    assert.equal(complete, false);
    assert.equal(cells.length, 150 + 1);
  });
});
