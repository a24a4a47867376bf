/** The fast path in real nodes: what it carries arrives and is counted, what is odd reaches the workers, and it goes when it must. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { UNDERLAY_DEVICE } from '../../lab/fabric.ts';
import { Lab, type LabDescription } from '../../lab/lab.ts';
import { NumberedStream } from '../../lab/numbered-udp.ts';
import { transferHash } from '../../lab/transfer.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { formatAddress, formatMac, parseMac } from '../../src/shared/address.ts';
import { projectRoot } from '../../src/shared/root.ts';
import {
  BYTES,
  bothWays,
  carried,
  isOff,
  isOn,
  KERNEL,
  nodeOf,
  ON,
  statusOf,
  sumOf,
  WEFT,
} from '../support/fast-path.ts';
import { KeptDaemon } from '../support/kept-daemon.ts';
import { growth, lossesOf } from '../support/losses.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

/** Frames; far more than others send meanwhile. */
const MANY = 1_000;

const pairs: { name: string; lab: LabDescription; fast: number[] }[] = [
  { name: 'both ends', lab: { nodes: [WEFT, WEFT], ...ON }, fast: [0, 1] },
  {
    name: 'both ends, two workers',
    lab: { nodes: [WEFT, WEFT], workers: 2, ...ON },
    fast: [0, 1],
  },
  {
    name: 'both ends of a link without segmentation',
    lab: { nodes: [WEFT, WEFT], underlayOffloads: 'wire', ...ON },
    fast: [0, 1],
  },
  {
    name: 'both ends of a link without any offload',
    lab: { nodes: [WEFT, WEFT], underlayOffloads: 'off', ...ON },
    fast: [0, 1],
  },
  {
    name: 'one end of a link without segmentation, kernel VXLAN at the other',
    lab: { nodes: [WEFT, KERNEL], underlayOffloads: 'wire', ...ON },
    fast: [0],
  },
  {
    name: 'one end of a link without segmentation, workers at the other',
    lab: { nodes: [WEFT, WEFT], underlayOffloads: 'wire' },
    fast: [0],
  },
  { name: 'one end, workers at the other', lab: { nodes: [WEFT, WEFT] }, fast: [0] },
  { name: 'one end, kernel VXLAN at the other', lab: { nodes: [WEFT, KERNEL], ...ON }, fast: [0] },
];

for (const { name, lab: description, fast } of pairs) {
  describe(`netns: fast path at ${name}`, () => {
    let lab: Lab;
    before(async () => {
      lab = await Lab.build(description);
      if (!description.fastPath) await nodeOf(lab, 0).restart(ON);
      await lab.waitForPeers();
      for (const i of fast) await isOn(nodeOf(lab, i));
    });
    after(() => lab?.close());

    it('100 MB arrive unchanged both ways, past the workers, and are in the books', async () => {
      const earlier = await Promise.all(fast.map((i) => carried(nodeOf(lab, i))));
      await bothWays(lab);
      for (const [at, i] of fast.entries()) {
        const now = await carried(nodeOf(lab, i));
        for (const way of ['sentBytes', 'deliveredBytes']) {
          const bytes = (now[way] ?? 0) - (earlier[at]?.[way] ?? 0);
          // Datagrams with a checksum may be merged before the program sees them: those go to the workers.
          if (way === 'sentBytes' || description.fastPath)
            assert.ok(bytes > BYTES / 2, `${way} ${bytes}`);
        }
        const status = await statusOf(nodeOf(lab, i));
        assert.ok((status.counters?.['sentBytes'] ?? 0) >= (now['sentBytes'] ?? 0));
        assert.equal(status.counters?.['outPackets'], sumOf(status, 'outbound'));
      }
    });
  });
}

for (const underlayOffloads of ['on', 'wire'] as const) {
  describe(`netns: fast path, what others do to it, underlay offloads ${underlayOffloads}`, () => {
    let lab: Lab;
    const node = (): WeftNode => nodeOf(lab, 0);
    before(async () => {
      lab = await Lab.build({ nodes: [WEFT, WEFT], underlayOffloads, ...ON });
      for (const each of lab.weftNodes) await isOn(each);
    });
    after(() => lab?.close());

    /** Single frames from the other node, from its pod .9 to one of this node's. */
    async function frames(): Promise<{
      source: string;
      send: (what: string, count?: number) => Promise<unknown>;
    }> {
      const sender = nodeOf(lab, 1);
      const [from, to] = [sender.network.subnet4, node().network.subnet4];
      assert.ok(from && to);
      const inside = (words: readonly number[]): string =>
        formatAddress([0, 0, 0xffff, ((words[3] as number) & -256) | 9]);
      const { devices = [] } = await statusOf(node());
      const mac = parseMac(devices[0]?.mac ?? '');
      assert.ok(mac);
      const source = inside(from.words);
      const send = (what: string, count = 1): Promise<unknown> =>
        sender.namespace.exec(process.execPath, [
          path.join(projectRoot(), 'dist/test/support/programs/vxlan-frame.js'),
          ...[sender.underlay.address4, node().underlay.address4, formatMac(mac)],
          ...[source, inside(to.words), what, String(count)],
        ]);
      return { source, send };
    }
    const drops = async (reason: string): Promise<number> =>
      (await statusOf(node())).drops?.inbound[reason] ?? 0;
    const received = async (): Promise<number> => (await carried(node()))['deliveredPackets'] ?? 0;
    const delivered = async (): Promise<number> =>
      (await statusOf(node())).counters?.['deliveredPackets'] ?? 0;

    it('frames that are odd reach the workers, each with its reason; the plain one does not', async () => {
      const { send } = await frames();
      const before = await received();
      await send('plain');
      await until('the plain frame took the fast path', async () => (await received()) > before);
      for (const [what, reason] of [
        ['vni', 'inWrongVni'],
        ['flags', 'inBadHeader'],
        ['mac', 'inWrongMac'],
        ['type', 'inNotIp'],
        ['cut', 'inMalformed'],
        ['ce', 'inEcn'],
        ['destination', 'inNotOurs'],
        ['source', 'inForeignSource'],
      ] as const) {
        const earlier = await drops(reason);
        await send(what);
        await until(`${what} is dropped as ${reason}`, async () => (await drops(reason)) > earlier);
      }
      for (const what of ['padded', 'udp']) {
        const [fast, all] = [await received(), await delivered()];
        await send(what, MANY);
        await until(`${what} is delivered`, async () => (await delivered()) >= all + MANY);
        // Probes of the peer come in between, and what daemons ask each other.
        assert.ok((await received()) < fast + MANY, `${what} is the workers'`);
      }
      const fast = await received();
      await send('plain', MANY);
      await until('plain ones are carried', async () => (await received()) > fast + MANY / 2);
    });

    it("a source that is this host's own is refused, though the sender leases its subnet", async () => {
      const { source, send } = await frames();
      await node().namespace.ip('addr', 'add', `${source}/32`, 'dev', 'lo');
      try {
        const before = await drops('inForeignSource');
        await until('workers refuse them', async () => {
          await send('plain', MANY);
          return (await drops('inForeignSource')) >= before + MANY;
        });
      } finally {
        await node().namespace.ip('addr', 'delete', `${source}/32`, 'dev', 'lo');
      }
      await until('without the address it is carried', async () => {
        const before = await received();
        await send('plain');
        return (await received()) > before;
      });
    });

    it('while packets are captured all go through the workers, and are seen; then no more', async () => {
      const end = await capture(node());
      const before = await carried(node());
      assert.ok((await transferHash(lab.pod(0), lab.pod(1), 1_000_000)).equal);
      assert.deepEqual(await carried(node()), before);
      await end();
    });

    it('a firewall rule, an IPsec policy and a small MTU each switch it off, and their end on', async () => {
      const { namespace } = node();
      const nft = (...words: string[]): Promise<unknown> => namespace.exec('nft', words);
      await nft('add', 'table', 'inet', 'site');
      await nft('add', 'chain', 'inet', 'site', 'in', '{ type filter hook input priority 0; }');
      await nft('add', 'rule', 'inet', 'site', 'in', 'udp', 'dport', '{ 53, 8400-8500 }', 'accept');
      try {
        await isOff(node(), /firewall rule/);
        assert.ok((await transferHash(lab.pod(0), lab.pod(1), 1_000_000)).equal);
        const [fast, all] = [await received(), await delivered()];
        await (await frames()).send('plain', MANY);
        await until('the rule sees what comes in', async () => (await delivered()) >= all + MANY);
        assert.equal(await received(), fast, 'nothing passes the rule by');
      } finally {
        await nft('delete', 'table', 'inet', 'site');
      }
      await isOn(node());
      const policy = ['src', '203.0.113.0/24', 'dst', '203.0.113.1/32', 'dir', 'out'];
      await namespace.ip('xfrm', 'policy', 'add', ...policy, 'action', 'block');
      await isOff(node(), /IPsec/).finally(() =>
        namespace.ip('xfrm', 'policy', 'delete', ...policy),
      );
      await isOn(node());
      const peer = nodeOf(lab, 1).underlay.address4;
      await namespace.ip('route', 'add', `${peer}/32`, 'dev', UNDERLAY_DEVICE, 'mtu', '1400');
      await until('nothing more takes it', async () => {
        const before = await carried(node());
        await transferHash(lab.pod(0), lab.pod(1), 1_000_000);
        return (await carried(node()))['sentBytes'] === before['sentBytes'];
      });
      await namespace.ip('route', 'delete', `${peer}/32`);
    });

    /** Numbered packets and a full TCP stream while `flip` runs ten times: all arrive, once. */
    async function underTraffic(flip: () => Promise<void>): Promise<void> {
      const before = await lossesOf(lab);
      const stream = await NumberedStream.start(lab.pod(0), lab.pod(1), { perSecond: 10_000 });
      let isOver = false;
      const transfers = (async () => {
        while (!isOver) assert.ok((await transferHash(lab.pod(0), lab.pod(1), BYTES)).equal);
      })();
      transfers.catch(() => undefined); // whoever waits for it hears of it
      try {
        for (let i = 0; i < 10; i++) await flip();
      } finally {
        isOver = true;
      }
      await transfers;
      const { sent, lost, repeated } = await stream.stop();
      const where = growth(before, await lossesOf(lab));
      const message = `of ${sent}; dropped meanwhile: ${where}`;
      assert.deepEqual({ lost, repeated }, { lost: 0, repeated: 0 }, message);
    }

    it('passed by and used again ten times under 10,000 numbered packets a second and a full TCP stream: nothing lost, nothing twice', async () => {
      await underTraffic(async () => {
        const end = await capture(node());
        await end();
      });
    });

    it('detached and attached ten times under the same: nothing lost, nothing twice', async () => {
      const nft = (...words: string[]): Promise<unknown> => node().namespace.exec('nft', words);
      await underTraffic(async () => {
        await nft('add', 'table', 'inet', 'site');
        await nft('add', 'chain', 'inet', 'site', 'in', '{ type filter hook input priority 0; }');
        await nft('add', 'rule', 'inet', 'site', 'in', 'udp', 'dport', '8472', 'accept');
        try {
          await isOff(node(), /firewall rule/);
        } finally {
          await nft('delete', 'table', 'inet', 'site');
        }
        await isOn(node());
      });
    });

    it('a daemon that is killed takes it along; the next one has it again, and books that only grow', async () => {
      await node().kill();
      await node().start();
      await lab.waitForPeers();
      await isOn(node());
      const before = (await statusOf(node())).counters ?? {};
      await bothWays(lab);
      const now = (await statusOf(node())).counters ?? {};
      for (const [name, count] of Object.entries(before))
        assert.ok((now[name] ?? 0) >= count, name);
      assert.ok(((await carried(node()))['sentBytes'] ?? 0) > BYTES / 2);
    });
  });
}

describe('netns: fast path while its daemon is away', () => {
  /** Few enough for the queues, which hold them for eight seconds. */
  const PER_SECOND = 500;
  /** They hold these for 80 s: on a busy machine a transfer may take longer than eight. */
  const FEW_PER_SECOND = 50;
  let lab: Lab;
  let daemon: KeptDaemon;
  const node = (): WeftNode => nodeOf(lab, 0);
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT], workers: 2, ...ON });
    await node().stop();
    daemon = await KeptDaemon.start(lab, node());
    await lab.waitForPeers();
  });
  after(() => lab?.close());

  /** Numbered packets and a TCP transfer, both ways, meanwhile. */
  async function underTraffic(disturb: () => Promise<void>, perSecond = PER_SECOND): Promise<void> {
    for (const each of lab.weftNodes) await isOn(each);
    const [a, b] = [lab.pod(0), lab.pod(1)];
    const streams = [
      await NumberedStream.start(a, b, { perSecond }),
      await NumberedStream.start(b, a, { perSecond, port: 7004 }),
    ];
    const transfers = [transferHash(a, b, 2 * BYTES), transferHash(b, a, 2 * BYTES)];
    await disturb();
    for (const transfer of transfers) assert.ok((await transfer).equal);
    for (const stream of streams) {
      const { sent, lost, repeated } = await stream.stop();
      assert.deepEqual({ lost, repeated }, { lost: 0, repeated: 0 }, `of ${sent}`);
    }
  }

  it('restarted, with descriptors kept: nothing is lost, and it is on again', async () => {
    await underTraffic(() => daemon.restart());
    await isOn(node());
  });

  it('killed, with descriptors kept: nothing but what a worker held is lost, and it is on again', async () => {
    await daemon.kill();
    await isOn(node());
    await bothWays(lab);
  });

  it('stopped in the middle of its work: TCP goes on past it, all else waits and arrives', async () => {
    await underTraffic(async () => {
      const { pid } = daemon.last;
      process.kill(pid, 'SIGSTOP');
      try {
        assert.ok((await transferHash(lab.pod(0), lab.pod(1), BYTES, { port: 7777 })).equal);
      } finally {
        process.kill(pid, 'SIGCONT');
      }
    }, FEW_PER_SECOND);
  });
});

describe('netns: the merger of a link without segmentation', () => {
  const NAME = 'weft.1a';
  const isThere = async ({ namespace }: WeftNode): Promise<boolean> =>
    (await namespace.ip('-br', 'link', 'show')).stdout.includes(NAME);
  const works = async ({ namespace }: WeftNode): Promise<boolean> =>
    /weft\.1a@weft\.1b +UP /.test((await namespace.ip('-br', 'link', 'show')).stdout);
  let lab: Lab;
  const node = (): WeftNode => nodeOf(lab, 0);
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT], underlayOffloads: 'wire', ...ON });
    for (const each of lab.weftNodes) await isOn(each);
  });
  after(() => lab?.close());

  it('what it merges is few packets, and TCP arrives as it was sent', async () => {
    const before = (await carried(node()))['deliveredPackets'] ?? 0;
    assert.ok((await transferHash(lab.pod(1), lab.pod(0), BYTES)).equal);
    const packets = ((await carried(node()))['deliveredPackets'] ?? 0) - before;
    // As segments they would be 70,000.
    assert.ok(packets > 0 && packets < 35_000, `${packets} for ${BYTES} bytes`);
  });

  const spoilt: [string, string[]][] = [
    ['deletes it', ['link', 'delete', NAME]],
    ['takes its near end down', ['link', 'set', NAME, 'down']],
    ['takes its far end down', ['link', 'set', 'weft.1b', 'down']],
  ];
  for (const [what, words] of spoilt)
    it(`somebody ${what}: it is made anew, and carries`, async () => {
      await node().namespace.ip(...words);
      await until('it works again', () => works(node()));
      const before = (await carried(node()))['deliveredBytes'] ?? 0;
      assert.ok((await transferHash(lab.pod(1), lab.pod(0), BYTES)).equal);
      assert.ok(((await carried(node()))['deliveredBytes'] ?? 0) - before > BYTES / 2);
    });

  it('the link segments tunnels from now on: nobody needs it any more, and it goes', async () => {
    const { namespace } = node();
    const all = ['tso', 'gso', 'tx-udp_tnl-segmentation', 'tx-udp_tnl-csum-segmentation'];
    const words = all.flatMap((name) => [name, 'on']);
    await namespace.exec('ethtool', ['-K', UNDERLAY_DEVICE, ...words]);
    await until('it is gone', async () => !(await isThere(node())));
    await isOn(node());
    await bothWays(lab);
  });

  it('a daemon that ends takes it along; one that is killed leaves it to the next, which may not want it', async () => {
    const peer = nodeOf(lab, 1);
    await peer.kill();
    assert.equal(await isThere(peer), true);
    await peer.restart({ fastPath: 'off' });
    assert.equal(await isThere(peer), false);
    await peer.restart(ON);
    await isOn(peer);
    await peer.stop();
    assert.equal(await isThere(peer), false);
    await peer.start();
    await isOn(peer);
    await peer.kill();
    assert.equal(await isThere(peer), true);
    await peer.start();
    await isOn(peer);
    await lab.waitForPeers();
    await bothWays(lab);
  });
});

describe('netns: fast path to a peer that comes', () => {
  it('it has it with the next look, which is soon, though this host announces nothing', async (t) => {
    const lab = await Lab.build({ nodes: [WEFT, WEFT], ...ON });
    t.after(() => lab.close());
    const [node, peer] = [nodeOf(lab, 0), nodeOf(lab, 1)];
    await isOn(node);
    // A look was just had; the next that nothing calls for is 30 s away.
    await (await capture(node))();
    const { address4 } = peer.underlay;
    await peer.stop();
    await peer.namespace.ip('addr', 'delete', `${address4}/24`, 'dev', UNDERLAY_DEVICE);
    const other = address4.replace(/\d+$/, '199');
    await peer.namespace.ip('addr', 'add', `${other}/24`, 'dev', UNDERLAY_DEVICE);
    await peer.start();
    // To the others a node with another address is another node.
    await until('it is known', async () => (await statusOf(node)).peers.total === 2);
    await isOn(node, 20_000);
  });
});

/** Everything goes through the workers until what is returned is called. */
async function capture(node: WeftNode): Promise<() => Promise<void>> {
  const running = node.namespace.spawn(process.execPath, [
    path.join(projectRoot(), 'bin/weft'),
    ...['capture', '--admin-socket', node.adminSocket, '-w', '/dev/null'],
  ]);
  await isOff(node, /somebody looks/);
  return async () => {
    await running.stop();
    await isOn(node);
  };
}

describe('netns: fast path where it does not apply', () => {
  const cases: [string, LabDescription, RegExp][] = [
    ['another source check', { nodes: [WEFT, WEFT], sourceCheck: 'vtep', ...ON }, /source-check/],
    ['backend udp', { nodes: [WEFT, WEFT], backend: 'udp', ...ON }, /backend udp/],
    ['nobody asked for it', { nodes: [WEFT, WEFT] }, /--fast-path=off/],
  ];
  for (const [name, description, why] of cases)
    it(`${name}: status says why, and traffic flows`, async (t) => {
      const lab = await Lab.build(description);
      t.after(() => lab.close());
      await isOff(nodeOf(lab, 0), why);
      assert.ok((await transferHash(lab.pod(0), lab.pod(1), 1_000_000)).equal);
      assert.equal((await carried(nodeOf(lab, 0)))['sentBytes'], 0);
    });
});
