/** `weft ping` and the matrix of five real nodes, one of them stock: cuts, sizes, hostile neighbours. */
import assert from 'node:assert/strict';
import { run } from '../../lab/command.ts';
import { Lab } from '../../lab/lab.ts';
import { addressInSubnet, type LabNode } from '../../lab/node.ts';
import { projectBinary } from '../../lab/root.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { needs } from '../support/needs.ts';
import { adminPage } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const WEFT = { kind: 'weft' } as const;
const REACH_PORT = 8474;

interface Matrix {
  nodes: { key: string; name: string; kind: string; via: string | null }[];
  cells: { from: string; to: string; state: string; rttMs: number | null }[];
}

/** Sends to the reach port whatever a bad neighbour may send, and holds connections open. Ends when all are closed by the other side. */
const HOSTILE = `
const net = require('node:net'), crypto = require('node:crypto');
const [host, port, from] = process.argv.slice(1);
const talk = (bytes) => new Promise((done) => {
  const socket = net.connect({ host, port, localAddress: from }, () => bytes.forEach((part) => socket.write(part)));
  // A pod's own node drops them.
  socket.setTimeout(10_000, () => socket.destroy());
  socket.on('error', () => undefined).on('close', done).resume();
});
const all = [];
for (let i = 0; i < 20; i++) all.push(talk([crypto.randomBytes(400), '\\n']), talk([]), talk([Buffer.alloc(1 << 20, 120)]));
all.push(talk(['{"weft":"reach","version":1,"of":"nobody"}\\n']));
Promise.all(all).then(() => console.log('all closed'));`;

describe('netns: weft ping in a lab of five', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({
      nodes: [WEFT, WEFT, WEFT, WEFT, { kind: 'kernel' }],
      families: [4, 6],
    });
  });
  after(() => lab?.close());

  const weftNode = (number: number): WeftNode => lab.weftNodes[number - 1] as WeftNode;
  const weft = (...words: string[]) =>
    run(
      process.execPath,
      [projectBinary('weft'), ...words, `--admin-socket=${weftNode(1).adminSocket}`],
      { allowFailure: true, timeoutMs: 60_000 },
    );
  const matrix = async (): Promise<Matrix> =>
    JSON.parse(await adminPage(weftNode(1).adminSocket, '/reach'));
  /** The pairs without an answer, as "n2 n4", sorted. */
  const lostPairs = ({ nodes, cells }: Matrix): string[] => {
    const names = new Map(nodes.map(({ key, name }) => [key, name]));
    const lost = cells.filter(({ state }) => state === 'lost');
    return lost.map(({ from, to }) => `${names.get(from)} ${names.get(to)}`).sort();
  };
  const waitForLost = async (...pairs: string[]): Promise<Matrix> => {
    let found: Matrix | undefined;
    await until(`lost: ${pairs.join(', ') || 'none'}`, async () => {
      found = await matrix();
      return lostPairs(found).join() === pairs.join();
    });
    return found as Matrix;
  };

  /** Each of the two drops what comes from the other. */
  const cut = async (a: LabNode, b: LabNode, families: readonly (4 | 6)[] = [4, 6]) => {
    for (const [here, there] of [
      [a, b],
      [b, a],
    ] as const) {
      const rules = [
        ...(families.includes(4) ? [`ip saddr ${there.underlay.address4} drop;`] : []),
        ...(families.includes(6)
          ? [`ip6 saddr ${there.underlay.address6} udp dport 8472 drop;`]
          : []),
      ];
      const chain = `chain in { type filter hook input priority -300; ${rules.join(' ')} };`;
      await here.namespace.exec('nft', [`table inet cut { ${chain} }`]);
    }
  };
  const mend = async (...nodes: LabNode[]) => {
    for (const { namespace } of nodes)
      await namespace.exec('nft', ['delete', 'table', 'inet', 'cut']);
  };

  it('a weft node and a stock node answer, both families; exit 0', async () => {
    const stock = lab.nodes[4] as LabNode;
    const targets = [
      [4, stock.underlay.address4],
      [6, stock.underlay.address6],
      [4, weftNode(2).underlay.address4],
    ] as const;
    for (const [family, target] of targets) {
      const words = ['-c', '2', '-i', '0.05', `--family=${family}`];
      const { code, stdout } = await weft('ping', target, ...words);
      assert.equal(code, 0, stdout);
      const lines = stdout.match(/^64 bytes from \S+: seq=\d ttl=64 time=[\d.]+ ms$/gm);
      assert.equal(lines?.length, 2, stdout);
      assert.match(stdout, /^2 sent, 2 received, 0% loss$/m);
    }
  });

  it('wrong use, an unknown peer and a daemon that is away have their exit codes', async () => {
    const noBoth = await weft('ping');
    assert.deepEqual([noBoth.code, /either PEER or --all/.test(noBoth.stderr)], [64, true]);
    assert.equal((await weft('ping', '10.99.0.2', '--all')).code, 64);
    const unknown = await weft('ping', '10.99.0.77');
    assert.deepEqual([unknown.code, /no peer "10\.99\.0\.77"/.test(unknown.stderr)], [1, true]);
    const away = await run(
      process.execPath,
      [projectBinary('weft'), 'ping', '--all', '--admin-socket=/nonexistent'],
      {
        allowFailure: true,
      },
    );
    assert.equal(away.code, 2);
  });

  it('without cuts every known pair answers; a stock node has a column and no row', async () => {
    const { nodes, cells } = await waitForLost();
    assert.deepEqual(
      nodes.map(({ kind }) => kind),
      ['weft', 'weft', 'weft', 'weft', 'other'],
    );
    const unknown = cells.filter(({ state }) => state === 'unknown');
    assert.deepEqual([...new Set(unknown.map(({ from }) => from))], [nodes[4]?.key]);
    assert.equal(cells.filter(({ state, rttMs }) => state === 'ok' && rttMs !== null).length, 16);
    const { code, stdout } = await weft('ping', '--all', '--json');
    assert.equal(code, 0);
    assert.equal((JSON.parse(stdout) as Matrix).cells.length, 20);
  });

  it('a cut between two others is printed, and nothing else; exit 1', async () => {
    await cut(weftNode(2), weftNode(4));
    await waitForLost('n2 n4', 'n4 n2');
    const { code, stdout } = await weft('ping', '--all');
    assert.equal(code, 1);
    const list = stdout.trimEnd().split('\n').slice(-3);
    assert.deepEqual(list, [
      '2 pairs without an answer, 4 pairs unknown',
      '  n2 (10.99.0.2) → n4 (10.99.0.4): no answer',
      '  n4 (10.99.0.4) → n2 (10.99.0.2): no answer',
    ]);
    const topology = await weft('topology');
    assert.match(topology.stdout, /cut between others:\n {3}n2 ✗ n4$/m);
    await mend(weftNode(2), weftNode(4));
    await waitForLost();
  });

  it('a cut from this node is printed both ways: a third one relays', async () => {
    await cut(weftNode(1), weftNode(3));
    const { nodes } = await waitForLost('n1 n3', 'n3 n1');
    const relay = nodes.find(({ key }) => key === nodes[2]?.via);
    assert.ok(relay && relay.name !== 'n1' && relay.name !== 'n3');
    const { code, stdout } = await weft('ping', '10.99.0.3', '-c', '2', '-i', '0.05');
    assert.equal(code, 1);
    assert.match(stdout, /no answer from .*: seq=1$/m);
    assert.match(stdout, /^2 sent, 0 received, 100% loss$/m);
    await mend(weftNode(1), weftNode(3));
    await waitForLost();
  });

  it('a cut of one family is named', async () => {
    await cut(weftNode(2), weftNode(3), [6]);
    await waitForLost('n2 n3', 'n3 n2');
    assert.match((await weft('ping', '--all')).stdout, /n2 .* → n3 .*: no answer over IPv6$/m);
    await mend(weftNode(2), weftNode(3));
    await waitForLost();
  });

  it('the sweep finds what a switch in the middle lets pass', async () => {
    const fitting = await weft('ping', '10.99.0.2', '--sweep', '--json');
    const { largestPacketBytes, deviceMtu, podMtu } = JSON.parse(fitting.stdout);
    assert.deepEqual([fitting.code, largestPacketBytes, deviceMtu, podMtu], [0, 1450, 1450, 1430]);
    const underlay = (...words: string[]) =>
      run('ip', ['-n', `${lab.scope.prefix}-underlay`, 'link', 'set', 'port2', 'mtu', ...words]);
    await underlay('1400');
    const { code, stdout } = await weft('ping', '10.99.0.2', '--sweep');
    await underlay('1500');
    assert.equal(code, 1, stdout);
    // A bridge lets a packet pass that is longer by a VLAN tag.
    assert.match(stdout, /^largest packet that comes back {2}135[0-4] bytes$/m);
    assert.match(stdout, /pods get MTU 1430, but only 135[0-4] bytes cross/);
  });

  it('what bad neighbours send to the port disturbs nobody', async () => {
    const target = addressInSubnet(weftNode(1).network.subnet4 as never, 0);
    const hostile = (node: LabNode['namespace'], from: string) =>
      node.exec(process.execPath, ['-e', HOSTILE, target, String(REACH_PORT), from], {
        timeoutMs: 60_000,
      });
    const peerAddress = addressInSubnet(weftNode(2).network.subnet4 as never, 0);
    const attacks = Promise.all([
      hostile(weftNode(2).namespace, peerAddress),
      hostile(lab.pod(3).namespace, lab.pod(3).address(4)),
    ]);
    await waitForLost();
    for (const { stdout } of await attacks) assert.match(stdout, /all closed/);
    await waitForLost();
    assert.equal(weftNode(1).exit, undefined);
  });

  it('goes on when the device was made anew', async () => {
    await weftNode(3).namespace.ip('link', 'delete', 'flannel.1');
    await until('the device is there again', () => /flannel\.1 was gone/.test(weftNode(3).log));
    const { nodes } = await waitForLost();
    assert.equal(nodes[2]?.kind, 'weft');
  });

  it('peers show round trip and loss of the background echoes', async () => {
    const stdout = await adminPage(weftNode(4).adminSocket, '/peers');
    const { peers } = JSON.parse(stdout) as {
      peers: { rttMs: number | null; lossRatio: number }[];
    };
    assert.equal(peers.length, 8);
    for (const { rttMs, lossRatio } of peers) assert.ok(rttMs !== null && lossRatio < 1, stdout);
  });
});
