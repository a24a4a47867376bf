/** The fast path over odd underlays and with odd packets; nodes of weft or the kernel's own VXLAN at the far end. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { addVeth, UNDERLAY_DEVICE } from '../../lab/fabric.ts';
import { Lab, type LabDescription } from '../../lab/lab.ts';
import { LabScope, Namespace } from '../../lab/namespace.ts';
import { addressInSubnet, type LabNode } from '../../lab/node.ts';
import type { Pod } from '../../lab/pod.ts';
import { POD_DEVICE } from '../../lab/pod.ts';
import { buildTool } from '../../lab/tool.ts';
import { transferHash } from '../../lab/transfer.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { formatMac, type Mac, type Prefix, parseMac } from '../../src/shared/address.ts';
import { messageOf } from '../../src/shared/errors.ts';
import { projectRoot } from '../../src/shared/root.ts';
import {
  BYTES,
  bothWays,
  carried,
  fastOf,
  isOff,
  isOn,
  KERNEL,
  nodeOf,
  ON,
  statusOf,
  sumOf,
  WEFT,
} from '../support/fast-path.ts';
import { needs } from '../support/needs.ts';
import { readFrames } from '../support/pcap.ts';
import { snmpCounters } from '../support/snmp.ts';
import { until } from '../support/until.ts';
import { vxlanDatagram } from '../support/vxlan-datagram.ts';

const { after, before, describe, it } = needs('root');

const PAIR: LabDescription = { nodes: [WEFT, WEFT], ...ON };
/** Packets; far more than others send meanwhile. */
const MANY = 1_000;

async function build(t: TestContext, description: LabDescription): Promise<Lab> {
  const lab = await Lab.build(description);
  t.after(() => lab.close());
  return lab;
}

async function allOn(lab: Lab): Promise<void> {
  for (const node of lab.weftNodes) await isOn(node);
}

/** Packets of both directions are sent or dropped, none is missing from the books. */
async function booksHold(node: WeftNode): Promise<void> {
  const status = await statusOf(node);
  assert.equal(status.counters?.['outPackets'], sumOf(status, 'outbound'));
  assert.equal(status.counters?.['inPackets'], sumOf(status, 'inbound'));
}

/** 100 MB each way, of which the fast path carries most at every weft node. */
async function carriesBothWays(lab: Lab): Promise<void> {
  const earlier = await Promise.all(lab.weftNodes.map(carried));
  await bothWays(lab);
  for (const [i, node] of lab.weftNodes.entries()) {
    const now = await carried(node);
    for (const way of ['sentBytes', 'deliveredBytes']) {
      const bytes = (now[way] ?? 0) - (earlier[i]?.[way] ?? 0);
      assert.ok(bytes > BYTES / 2, `${node.name}: ${way} ${bytes}`);
    }
    await booksHold(node);
  }
}

/* ---- devices above others ---- */

/** What was the underlay's device, and one more beside it, below the one that is made. */
const LOWER = 'port0';
const SPARE = 'port1';

interface Stack {
  kind: string;
  make: (space: Namespace) => Promise<void>;
  /** to the other one of both */
  change?: (space: Namespace) => Promise<void>;
}

const addUpon = (kind: string, ...words: string[]): Stack => ({
  kind,
  make: async (space) => {
    // Else the lower device might answer for the address with a MAC of its own.
    await space.sysctl({ 'net/ipv4/conf/all/arp_ignore': 1 });
    await space.ip('link', 'add', 'link', LOWER, 'name', UNDERLAY_DEVICE, 'type', kind, ...words);
    await space.ip('link', 'set', LOWER, 'up');
  },
});

async function joinPorts(space: Namespace, kind: string, ...words: string[]): Promise<void> {
  await space.ip('link', 'add', UNDERLAY_DEVICE, 'type', kind, ...words);
  for (const port of [LOWER, SPARE]) {
    await space.ip('link', 'set', port, 'down');
    await space.ip('link', 'set', port, 'master', UNDERLAY_DEVICE);
  }
}

const VLAN = addUpon('vlan', 'id', '100');
const MACVLAN = addUpon('macvlan', 'mode', 'bridge');
const BOND: Stack = {
  kind: 'bond',
  make: async (space) => {
    await joinPorts(space, 'bond', 'mode', 'active-backup', 'miimon', '100');
    await space.ip('link', 'set', LOWER, 'up');
    await space.ip('link', 'set', SPARE, 'up');
    await space.ip('link', 'set', UNDERLAY_DEVICE, 'up');
  },
  change: async (space) => {
    await space.ip('link', 'set', await activeOf(space), 'down');
  },
};
async function activeOf(space: Namespace): Promise<string> {
  const { stdout } = await space.ip('-j', '-d', 'link', 'show', 'dev', UNDERLAY_DEVICE);
  const [link] = JSON.parse(stdout) as {
    linkinfo?: { info_data?: { active_slave?: string } };
  }[];
  const active = link?.linkinfo?.info_data?.active_slave;
  assert.ok(active);
  return active;
}

/** One port is up at a time: with both there would be a loop. */
const BRIDGE: Stack = {
  kind: 'bridge',
  make: async (space) => {
    await joinPorts(space, 'bridge');
    await space.ip('link', 'set', LOWER, 'up');
  },
  change: async (space) => {
    await space.ip('link', 'set', LOWER, 'down');
    await space.ip('link', 'set', SPARE, 'up');
  },
};

/** Skips the test where the kernel has no such devices. */
async function canMake(t: TestContext, { kind, make }: Stack): Promise<boolean> {
  const scope = await LabScope.open();
  try {
    const space = await scope.namespace('try');
    await addVeth(space, LOWER, space, SPARE);
    await make(space);
    return true;
  } catch (error) {
    if (!/Unknown device type|not supported/i.test(messageOf(error))) throw error;
    t.skip(`this kernel has no devices of type ${kind}`);
    return false;
  } finally {
    await scope.close();
  }
}

/** Two nodes whose underlay's device lies upon another. */
async function buildUpon(t: TestContext, stack: Stack): Promise<Lab | undefined> {
  if (!(await canMake(t, stack))) return undefined;
  const lab = await build(t, { ...PAIR, waitForPeers: false });
  const switchboard = new Namespace(`${lab.scope.prefix}-underlay`, lab.scope.cleanup);
  for (const node of lab.weftNodes) await node.stop();
  for (const node of lab.weftNodes) await putUpon(stack, node, switchboard);
  await Promise.all(lab.weftNodes.map((node) => node.start()));
  await lab.waitForPeers();
  return lab;
}

async function putUpon(stack: Stack, node: WeftNode, switchboard: Namespace): Promise<void> {
  const { namespace: space, name } = node;
  await space.ip('link', 'set', UNDERLAY_DEVICE, 'down');
  await space.ip('addr', 'flush', 'dev', UNDERLAY_DEVICE);
  await space.ip('link', 'set', UNDERLAY_DEVICE, 'name', LOWER);
  await addVeth(switchboard, `spare-${name}`, space, SPARE);
  await switchboard.ip('link', 'set', `spare-${name}`, 'master', 'br0', 'up');
  await stack.make(space);
  await space.ip('addr', 'add', `${node.underlay.address4}/24`, 'dev', UNDERLAY_DEVICE);
  await space.ip('link', 'set', UNDERLAY_DEVICE, 'up');
}

describe('netns: fast path through devices above others', () => {
  for (const stack of [VLAN, MACVLAN, BOND, BRIDGE])
    it(`${stack.kind}: it is on, and carries 100 MB each way`, async (t) => {
      const lab = await buildUpon(t, stack);
      if (!lab) return;
      await allOn(lab);
      await carriesBothWays(lab);
      const { change } = stack;
      if (change) await survives(lab, () => change(nodeOf(lab, 0).namespace));
    });
});

/** A connection that is in the middle lives on, and so does the fast path. */
async function survives(lab: Lab, change: () => Promise<void>): Promise<void> {
  const node = nodeOf(lab, 0);
  const sent = async (): Promise<number> => (await carried(node))['sentBytes'] ?? 0;
  const first = await sent();
  const transfer = transferHash(lab.pod(0), lab.pod(1), 3 * BYTES);
  transfer.catch(() => undefined); // whoever waits for it hears of it
  await until('it is under way', async () => (await sent()) > first + BYTES / 10);
  await change();
  assert.ok((await transfer).equal);
  await isOn(node);
  const then = await sent();
  assert.ok((await transferHash(lab.pod(0), lab.pod(1), BYTES)).equal);
  assert.ok((await sent()) > then + BYTES / 2);
}

/* ---- a tunnel below ---- */

interface Tunnel {
  kind: string;
  words: string[];
  /** reasons, by the MTU of the device */
  why: Record<number, RegExp>;
  /** the MTU with which it may be used */
  enough?: number;
}

const UNDER = 'under1';
const TUNNELS: Tunnel[] = [
  {
    kind: 'vxlan',
    words: ['id', '77', 'dstport', '4790'],
    why: { 1450: /its MTU is 1450, less than 1500/ },
    enough: 1500,
  },
  { kind: 'ipip', words: [], why: { 1480: /not Ethernet/ } },
];

describe('netns: fast path to peers behind another tunnel', () => {
  for (const { kind, words, why, enough } of TUNNELS)
    it(`${kind}: where it is off status says why; 100 MB arrive each way, by whichever way`, async (t) => {
      const make = async (space: Namespace): Promise<void> => {
        await space.ip('link', 'add', UNDER, 'type', kind, ...words, ...ends(1, 2));
      };
      if (!(await canMake(t, { kind, make }))) return;
      const lab = await build(t, PAIR);
      await allOn(lab);
      for (const i of [0, 1])
        await tunnelTo(nodeOf(lab, i), nodeOf(lab, 1 - i), (own, other) => [
          ...[kind, ...words],
          ...ends(own, other),
        ]);
      for (const [mtu, reason] of Object.entries(why)) {
        for (const { namespace } of lab.nodes) await namespace.ip('link', 'set', UNDER, 'mtu', mtu);
        await isLeftToWorkers(lab, reason);
      }
      if (enough === undefined) return;
      for (const { namespace } of lab.nodes)
        await namespace.ip('link', 'set', UNDER, 'mtu', String(enough));
      await allOn(lab);
      // The kernel may find out meanwhile that the tunnel has less room than its device says: the workers take over.
      await bothWays(lab);
    });
});

const ends = (own: number, other: number): string[] => [
  ...['local', `10.97.0.${own}`, 'remote', `10.97.0.${other}`],
];

async function isLeftToWorkers(lab: Lab, why: RegExp): Promise<void> {
  for (const node of lab.weftNodes) await isOff(node, why);
  const before = await Promise.all(lab.weftNodes.map(carried));
  await bothWays(lab);
  for (const [i, node] of lab.weftNodes.entries()) {
    assert.deepEqual(await carried(node), before[i]);
    const { egress } = await fastOf(node);
    assert.deepEqual(
      egress.map(({ device, usable }) => [device, usable]),
      [[UNDER, false]],
    );
  }
}

/** The route to the other node's address leads through a tunnel to it. */
async function tunnelTo(
  own: LabNode,
  other: LabNode,
  words: (own: number, other: number) => string[],
): Promise<void> {
  const { namespace: space } = own;
  const lastByte = (node: LabNode): number => Number(node.underlay.address4.split('.')[3]);
  await space.ip('addr', 'add', `10.97.0.${lastByte(own)}/24`, 'dev', UNDERLAY_DEVICE);
  const tunnel = words(lastByte(own), lastByte(other));
  await space.ip('link', 'add', UNDER, 'type', ...tunnel);
  await space.ip('link', 'set', UNDER, 'up');
  const { address4 } = other.underlay;
  await space.ip('route', 'add', `${address4}/32`, 'dev', UNDER, 'src', own.underlay.address4);
}

/* ---- packets of two weft nodes ---- */

/** Counts packets in a namespace; `rules` name the counter "seen". */
class Counter {
  private readonly space: Namespace;

  private constructor(space: Namespace) {
    this.space = space;
  }

  /** `hook`: type, hook and priority of the chain */
  static async add(t: TestContext, space: Namespace, hook: string, rule: string): Promise<Counter> {
    const text = `table ip sight {
      counter seen { }
      chain look { ${hook}; ${rule} counter name seen; }
    }`;
    await space.exec('nft', ['-f', '-'], { input: text });
    t.after(() => space.exec('nft', ['delete', 'table', 'ip', 'sight'], { allowFailure: true }));
    return new Counter(space);
  }

  async packets(): Promise<number> {
    const { stdout } = await this.space.exec('nft', ['list', 'counter', 'ip', 'sight', 'seen']);
    return Number(/packets (\d+)/.exec(stdout)?.[1]);
  }
}

/** Before connection tracking puts fragments together. */
const FIRST_OF_ALL = 'type filter hook prerouting priority -450';

const subnetOf = ({ network }: LabNode): Prefix => {
  assert.ok(network.subnet4);
  return network.subnet4;
};

async function macOf(space: Namespace, device: string): Promise<Mac> {
  const { stdout } = await space.ip('-j', 'link', 'show', 'dev', device);
  const mac = parseMac((JSON.parse(stdout) as { address: string }[])[0]?.address ?? '');
  assert.ok(mac);
  return mac;
}

const macBytes = (mac: Mac): Uint8Array => Buffer.from(formatMac(mac).replaceAll(':', ''), 'hex');

describe('netns: fast path between weft nodes', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT, WEFT], ...ON });
    await allOn(lab);
  });
  after(() => lab?.close());

  /** A frame to the first node's address with TCP from the second's subnet, tagged with a VLAN. */
  async function taggedFrame(vlan: number): Promise<{ source: string; hex: string }> {
    const [to, from] = [nodeOf(lab, 0), nodeOf(lab, 1)];
    const source = addressInSubnet(subnetOf(from), 9);
    const { devices = [] } = await statusOf(to);
    const mac = parseMac(devices[0]?.mac ?? '');
    assert.ok(mac);
    const datagram = vxlanDatagram({
      from: from.underlay.address4,
      to: to.underlay.address4,
      mac,
      innerFrom: source,
      innerTo: addressInSubnet(subnetOf(to), 9),
      what: 'plain',
    });
    const head = [
      macBytes(await macOf(to.namespace, UNDERLAY_DEVICE)),
      macBytes(await macOf(from.namespace, UNDERLAY_DEVICE)),
      Uint8Array.of(0x81, 0x00, vlan >> 8, vlan & 255, 0x08, 0x00),
    ];
    return { source, hex: Buffer.concat([...head, datagram]).toString('hex') };
  }

  it('frames tagged with VLAN 0 (priority) are the workers, and arrive once; with VLAN 5 never', async (t) => {
    const [to, from] = [nodeOf(lab, 0), nodeOf(lab, 1)];
    const frame = await buildTool('frame');
    const priority = await taggedFrame(0);
    const rule = `iifname "flannel.1" ip saddr ${priority.source}`;
    const arrived = await Counter.add(t, to.namespace, FIRST_OF_ALL, rule);
    const send = (hex: string): Promise<unknown> =>
      from.namespace.exec(frame, [UNDERLAY_DEVICE, String(MANY), hex]);
    const delivered = async (): Promise<number> =>
      (await statusOf(to)).counters?.['deliveredPackets'] ?? 0;
    const earlier = { all: await delivered(), fast: await carried(to) };
    await send((await taggedFrame(5)).hex);
    await send(priority.hex);
    await until('all are delivered', async () => (await delivered()) >= earlier.all + MANY);
    assert.equal(await arrived.packets(), MANY);
    const fast = await carried(to);
    const carriedPackets =
      (fast['deliveredPackets'] ?? 0) - (earlier.fast['deliveredPackets'] ?? 0);
    assert.ok(carriedPackets < MANY, `${carriedPackets} by the fast path`);
    await booksHold(to);
  });

  it("a port of a node's own subnet that it forwards to another's pod: it comes in past the workers, and 100 MB arrive", async (t) => {
    const middle = nodeOf(lab, 1);
    const port = 7011;
    const target = addressInSubnet(subnetOf(middle), 200);
    const behind = lab.pod(2).address(4);
    const rules = `table ip turn {
      chain to { type nat hook prerouting priority -100;
        ip daddr ${target} tcp dport ${port} dnat to ${behind}; }
      chain from { type nat hook postrouting priority 100;
        ip daddr ${behind} tcp dport ${port} masquerade; }
    }`;
    await middle.namespace.exec('nft', ['-f', '-'], { input: rules });
    t.after(() => middle.namespace.exec('nft', ['delete', 'table', 'ip', 'turn']));
    await isOn(middle);
    const before = await carried(middle);
    const options = { port, target };
    assert.ok((await transferHash(lab.pod(0), lab.pod(2), BYTES, options)).equal);
    const { deliveredBytes = 0 } = await carried(middle);
    assert.ok(deliveredBytes > (before['deliveredBytes'] ?? 0) + BYTES / 2);
    // What the kernel still takes for encapsulated is not encapsulated again by the program, but by the workers.
    assert.ok(((await statusOf(middle)).counters?.['sentBytes'] ?? 0) > BYTES);
    await booksHold(middle);
  });

  it('BIG TCP: flows with packets of 128 KiB are the workers, 100 MB arrive each way, and the books hold', async (t) => {
    const big = await buildTool('big');
    for (const { node, namespace } of lab.pods)
      for (const [space, device] of [
        [namespace, 'eth0'],
        [node.namespace, POD_DEVICE],
        [node.namespace, UNDERLAY_DEVICE],
      ] as const)
        await space.exec(big, [device, String(128 << 10)]);
    const rule = `iifname "${POD_DEVICE}" meta length > 65535`;
    const large = await Counter.add(t, nodeOf(lab, 0).namespace, FIRST_OF_ALL, rule);
    const earlier = (await carried(nodeOf(lab, 0)))['sentBytes'] ?? 0;
    await bothWays(lab);
    assert.ok((await large.packets()) > 0, 'there were larger ones than IP can say');
    // Were the smaller ones of a flow carried, they would overtake.
    const bytes = ((await carried(nodeOf(lab, 0)))['sentBytes'] ?? 0) - earlier;
    assert.ok(bytes < BYTES / 4, `${bytes} carried`);
    for (const { namespace } of lab.pods.slice(0, 2)) {
      const [sent, again] = await segmentsOf(namespace);
      assert.ok(again < sent / 20, `${again} of ${sent} segments were sent again`);
    }
    for (const node of lab.weftNodes) await booksHold(node);
  });
});

/** TCP segments that left, and those that were sent again. */
async function segmentsOf(space: Namespace): Promise<[number, number]> {
  const counters = await snmpCounters(space, 'Tcp');
  const of = (name: string): number => counters.get(name) ?? Number.NaN;
  return [of('OutSegs'), of('RetransSegs')];
}

/* ---- what is on the wire ---- */

interface Headers {
  source: string;
  ttl: number;
  hasDf: boolean;
  tos: number;
  innerTos: number;
  innerTtl: number;
  innerProtocol: number;
  checksum: number;
  port: number;
}

const ECN = 3;
const ECT0 = 2;
/** What pods write into the rest of TOS. */
const CS4 = 0x80;
/** Not a probe between nodes. */
const isOfPods = ({ innerTos }: Headers): boolean => (innerTos & ~ECN) === CS4;
const OUTER_IP = 14;
const OUTER_UDP = OUTER_IP + 20;
const INNER_IP = OUTER_UDP + 8 + 8 + 14;

const headersOf = (frame: Buffer): Headers => ({
  source: frame.subarray(OUTER_IP + 12, OUTER_IP + 16).join('.'),
  ttl: frame.readUInt8(OUTER_IP + 8),
  hasDf: (frame.readUInt16BE(OUTER_IP + 6) & 0x4000) !== 0,
  tos: frame.readUInt8(OUTER_IP + 1),
  port: frame.readUInt16BE(OUTER_UDP),
  checksum: frame.readUInt16BE(OUTER_UDP + 6),
  innerTos: frame.readUInt8(INNER_IP + 1),
  innerTtl: frame.readUInt8(INNER_IP + 8),
  innerProtocol: frame.readUInt8(INNER_IP + 9),
});

/** TCP in the overlay on the first node's wire while something is done. */
async function seenWhile(lab: Lab, work: () => Promise<void>): Promise<Headers[]> {
  const file = join(lab.scope.tempDir, 'wire.pcap');
  const running = nodeOf(lab, 0).namespace.spawn('tcpdump', [
    ...['-i', UNDERLAY_DEVICE, '-s', '200', '-U', '-w', file, 'udp dst port 8472'],
  ]);
  await running.waitForOutput(/listening on/);
  await work();
  await running.stop();
  const seen = readFrames(readFileSync(file)).map(headersOf);
  return seen.filter(({ innerProtocol }) => innerProtocol === 6);
}

describe('netns: fast path to a kernel node', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, KERNEL], ...ON });
    await allOn(lab);
  });
  after(() => lab?.close());

  it('outer headers are those of kernel VXLAN: TTL, DF, congestion marks without the rest of TOS, ports', async () => {
    for (const { namespace } of lab.pods) {
      await namespace.sysctl({ 'net/ipv4/tcp_ecn': 1 });
      const rules = `table ip shape {
        chain out { type filter hook output priority 0;
          ip dscp set cs4; }
      }`;
      await namespace.exec('nft', ['-f', '-'], { input: rules });
    }
    const before = await carried(nodeOf(lab, 0));
    const seen = await seenWhile(lab, () => bothWays(lab));
    const now = await carried(nodeOf(lab, 0));
    assert.ok((now['sentBytes'] ?? 0) > (before['sentBytes'] ?? 0) + BYTES / 2);
    for (const { underlay } of lab.nodes) {
      const headers = seen.filter((each) => each.source === underlay.address4 && isOfPods(each));
      assert.ok(headers.length > 0);
      for (const each of headers) assertHeaders(each);
      assert.ok(headers.some(({ tos }) => tos === ECT0));
    }
    const { address4 } = nodeOf(lab, 0).underlay;
    assert.ok(seen.every(({ source, checksum }) => source !== address4 || checksum === 0));
  });

  function assertHeaders({ ttl, hasDf, tos, innerTos, innerTtl, port }: Headers): void {
    assert.equal(ttl, 64);
    assert.equal(hasDf, false);
    assert.equal(tos, innerTos & ECN);
    assert.equal(innerTtl, 63);
    assert.ok(port >= 32_768 && port <= 61_000, `port ${port}`);
  }

  it('TCP in IP fragments is the workers, both ways, and arrives whole', async (t) => {
    const [ours, theirs] = [lab.pod(0), lab.pod(1)];
    for (const [from, to, way] of [
      [ours, theirs, 'sentPackets'],
      [theirs, ours, 'deliveredPackets'],
    ] as const)
      await piecesArrive(t, from, to, way);
  });

  async function piecesArrive(t: TestContext, from: Pod, to: Pod, way: string): Promise<void> {
    const node = nodeOf(lab, 0);
    const port = 7777;
    // The pod puts fragments together before this hook: there are as many segments as were sent.
    const hook = 'type filter hook input priority 0';
    const rule = `ip saddr ${from.address(4)} tcp dport ${port} meta length 240`;
    const whole = await Counter.add(t, to.namespace, hook, rule);
    const count = async (): Promise<number> => (await statusOf(node)).counters?.[way] ?? 0;
    const [all, fast] = [await count(), (await carried(node))[way] ?? 0];
    await from.namespace.exec(process.execPath, [
      join(projectRoot(), 'dist/test/support/programs/tcp-pieces.js'),
      ...[from.address(4), to.address(4), String(port), String(MANY / 2)],
    ]);
    await until('all have arrived', async () => (await whole.packets()) === MANY / 2);
    assert.ok((await count()) >= all + MANY);
    assert.ok(((await carried(node))[way] ?? 0) < fast + MANY, 'fragments are not carried');
    await booksHold(node);
  }

  it('TCP with small segments is carried: 100 MB arrive each way', async () => {
    for (const pod of lab.pods) {
      const gateway = addressInSubnet(subnetOf(pod.node), 1);
      const route = ['route', 'replace', 'default', 'via', gateway, 'dev', 'eth0'];
      await pod.namespace.ip(...route, 'advmss', '536');
    }
    await carriesBothWays(lab);
  });
});
