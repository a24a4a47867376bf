/** weft peers, drops and capture on a real node with a weft and a kernel peer; pcap files read back, also by tcpdump. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { run } from '../../lab/command.ts';
import { UNDERLAY_DEVICE } from '../../lab/fabric.ts';
import { Lab } from '../../lab/lab.ts';
import type { LabNode } from '../../lab/node.ts';
import { projectBinary } from '../../lab/root.ts';
import { ping } from '../../lab/traffic.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { formatPrefix } from '../../src/shared/address.ts';
import { needs } from '../support/needs.ts';
import { adminPage, statusOf } from '../support/node-status.ts';
import { udpPacket } from '../support/packets.ts';
import { type RawPacket, readRawPackets } from '../support/pcap.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const PORT = 8472;
const STRANGER = '10.99.0.200';

interface PeerJson {
  key: string;
  subnet: string;
  mac: string;
  sentPackets: number;
  sentBytes: number;
  receivedPackets: number;
  receivedBytes: number;
  lastHeardAt: string | null;
}

/** One `weft` beside the test. */
class Weft {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly ended: Promise<unknown>;

  constructor(node: WeftNode, ...words: string[]) {
    const args = [projectBinary('weft'), ...words, `--admin-socket=${node.adminSocket}`];
    this.child = spawn(process.execPath, args);
    this.child.stdout?.on('data', (chunk) => (this.stdout += chunk));
    this.child.stderr?.on('data', (chunk) => (this.stderr += chunk));
    this.ended = once(this.child, 'close');
  }

  async end(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal) this.child.kill(signal);
    await this.ended;
    return this.child.exitCode;
  }
}

describe('netns: peers, drops and capture', () => {
  let lab: Lab;
  const node = (): WeftNode => lab.weftNodes[0] as WeftNode;
  const page = async <T>(name: string): Promise<T> =>
    JSON.parse(await adminPage(node().adminSocket, name)) as T;
  const subnetOf = ({ network }: LabNode): string =>
    network.subnet4 ? formatPrefix(network.subnet4) : '';
  const file = (name: string): string => path.join(lab.scope.tempDir, name);
  const isRunning = async (): Promise<boolean> =>
    (await page<{ running: boolean }>('/capture/summary')).running;

  /** Runs a capture while `traffic` flows; ends it by hand once `packets` have come. */
  async function capture(
    words: string[],
    packets: number,
    traffic: () => Promise<unknown>,
  ): Promise<{ packets: RawPacket[]; stderr: string; pcap: string }> {
    const pcap = file(`${words.join('')}.pcap`.replaceAll('/', '-'));
    const weft = new Weft(node(), 'capture', '-w', pcap, ...words);
    await until('the capture runs', isRunning);
    await traffic();
    await until('all are there', async () => {
      const { captured } = await page<{ captured: number }>('/capture/summary');
      return captured >= packets;
    });
    assert.equal(await weft.end('SIGINT'), 0, weft.stderr);
    assert.equal(await isRunning(), false);
    return { packets: readRawPackets(readFileSync(pcap)), stderr: weft.stderr, pcap };
  }

  const addresses = ({ bytes }: RawPacket): string[] =>
    [12, 16].map((at) => [...bytes.subarray(at, at + 4)].join('.'));
  const pingBoth = async (): Promise<void> => {
    for (const to of [lab.pod(1), lab.pod(2)])
      assert.equal((await ping(lab.pod(0), to, { count: 5, waitMs: 10_000 })).lossPct, 0);
  };

  before(async () => {
    process.env['WEFT_FAULTS'] = '1';
    const weft = { kind: 'weft' } as const;
    // Without echoes of its own: the tests count packets.
    const flags = ['--probe-seconds=0'];
    lab = await Lab.build({ nodes: [weft, weft, { kind: 'kernel' }], workers: 2, flags });
  });
  after(() => lab?.close());

  it('peers: their sums are the totals, each was heard of, and traffic counts where it went', async () => {
    const before = (await page<{ peers: PeerJson[] }>('/peers')).peers;
    await pingBoth();
    const { peers } = await page<{ peers: PeerJson[] }>('/peers');
    const { counters } = await statusOf(node());
    const sum = (name: 'sentPackets' | 'sentBytes' | 'receivedPackets' | 'receivedBytes') =>
      peers.reduce((total, peer) => total + peer[name], 0);
    assert.equal(sum('sentPackets'), counters['sentPackets']);
    assert.equal(sum('sentBytes'), counters['sentBytes']);
    assert.equal(sum('receivedPackets'), counters['deliveredPackets']);
    assert.equal(sum('receivedBytes'), counters['deliveredBytes']);
    assert.equal(peers.length, 2);
    for (const peer of peers) {
      const earlier = before.find(({ key }) => key === peer.key);
      assert.ok(peer.sentPackets - (earlier?.sentPackets ?? 0) >= 5, peer.key);
      assert.ok(peer.receivedBytes - (earlier?.receivedBytes ?? 0) >= 5 * 84, peer.key);
      assert.ok(Date.parse(peer.lastHeardAt ?? '') > Date.parse(earlier?.lastHeardAt ?? ''));
    }
    const shown = new Weft(node(), 'peers', '--sort=sent');
    assert.equal(await shown.end(), 0);
    assert.match(shown.stdout, /^SUBNET +NODE +VTEP-MAC +HEARD +SENT +RECEIVED +RTT +LOSS\n/);
    const dump = new Weft(node(), 'peers', '--dump', '--sort=subnet');
    await dump.end();
    const lines = dump.stdout.trim().split('\n');
    assert.deepEqual(
      lines.map((line) => line.split('\t').length),
      [13, 13],
    );
    assert.deepEqual(
      lines.map((line) => line.split('\t')[2]),
      [lab.nodes[1], lab.nodes[2]]
        .map((peer) => subnetOf(peer as LabNode))
        .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })),
    );
  });

  it('counters of peers outlive the workers that counted', async () => {
    const before = (await page<{ peers: PeerJson[] }>('/peers')).peers;
    for (const worker of [0, 1]) await page(`/fault?worker=${worker}`);
    await until('both were started anew', async () => {
      const { workers } = await statusOf(node());
      return workers.every(({ state, restarts }) => state === 'running' && restarts === 1);
    });
    await pingBoth();
    for (const { key, sentPackets } of (await page<{ peers: PeerJson[] }>('/peers')).peers) {
      const earlier = before.find((peer) => peer.key === key);
      assert.ok(sentPackets >= (earlier?.sentPackets ?? 0) + 5, key);
    }
  });

  for (const kind of ['weft', 'kernel'] as const) {
    const index = kind === 'weft' ? 1 : 2;

    it(`capture of inner packets: only those of the ${kind} peer`, async () => {
      const peer = lab.nodes[index] as LabNode;
      const { packets, stderr } = await capture([`--peer=${subnetOf(peer)}`], 10, pingBoth);
      assert.equal(packets.length, 10);
      const own = lab.pod(0).address(4);
      const theirs = lab.pod(index).address(4);
      assert.equal(packets.filter((p) => addresses(p).join() === `${own},${theirs}`).length, 5);
      assert.equal(packets.filter((p) => addresses(p).join() === `${theirs},${own}`).length, 5);
      const times = packets.map(({ atNs }) => atNs);
      assert.deepEqual(
        times,
        times.toSorted((a, b) => Number(a - b)),
      );
      assert.match(stderr, /^weft: 10 packets captured\n$/);
    });

    it(`capture of outer packets to and from the ${kind} peer: tcpdump sees VXLAN with the pings inside`, async () => {
      const peer = lab.nodes[index] as LabNode;
      const words = ['--outer', `--peer=${peer.underlay.address4}`];
      const { packets, pcap } = await capture(words, 10, pingBoth);
      // A probe of the way to that peer may be among them.
      assert.ok(packets.length >= 10);
      const ends = new Set(packets.flatMap(addresses));
      assert.deepEqual([...ends].sort(), ['10.99.0.1', peer.underlay.address4].sort());
      const { stdout } = await run('tcpdump', ['-nn', '-T', 'vxlan', '-r', pcap]);
      const own = lab.pod(0).address(4);
      assert.equal(
        stdout.match(/VXLAN, flags \[I\] \(0x08\), vni 1/g)?.length,
        packets.length,
        stdout,
      );
      assert.equal(stdout.match(new RegExp(`IP ${own} > .*ICMP echo request`, 'g'))?.length, 5);
      assert.equal(stdout.match(new RegExp(`> ${own}: ICMP echo reply`, 'g'))?.length, 5);
    });
  }

  it('capture by address, of so many packets and bytes, to standard output', async () => {
    const pod = lab.pod(2).address(4);
    const options = [`--address=${pod}`, '--count=4', '--snap=64'];
    const weft = new Weft(node(), 'capture', ...options);
    const chunks: Buffer[] = [];
    weft.child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
    await until('the capture runs', isRunning);
    await pingBoth();
    assert.equal(await weft.end(), 0, weft.stderr);
    const packets = readRawPackets(Buffer.concat(chunks));
    assert.equal(packets.length, 4);
    assert.ok(packets.every((packet) => addresses(packet).includes(pod)));
    assert.ok(packets.every(({ bytes, packetBytes }) => bytes.length === 64 && packetBytes === 84));
    assert.equal(await isRunning(), false);
  });

  it('one capture at a time; a client that is killed ends it; wrong words are refused', async () => {
    const first = new Weft(node(), 'capture', '-w', file('killed.pcap'));
    await until('the capture runs', isRunning);
    const second = new Weft(node(), 'capture', '-w', file('second.pcap'));
    assert.equal(await second.end(), 1);
    assert.match(second.stderr, /another capture is running/);
    await first.end('SIGKILL');
    await until('it has ended', async () => !(await isRunning()));
    for (const [query, message] of [
      ['peer=10.1.2.0/24', /no peer 10\.1\.2\.0\/24/],
      ['address=nonsense', /not an IP address/],
      ['snap=1', /snap: a whole number from 64/],
      ['side=left', /side: inner or outer/],
    ] as const)
      assert.match((await page<{ error: string }>(`/capture?${query}`)).error, message);
    const { packets } = await capture([], 20, pingBoth);
    assert.ok(packets.length >= 20, 'the next one works');
    const usage = new Weft(node(), 'capture', '--count=none');
    assert.equal(await usage.end(), 64);
  });

  it('drops --follow: headers of dropped packets with reason and sender', async () => {
    const [, other, kernel] = lab.nodes as [LabNode, LabNode, LabNode];
    const pods = [lab.pod(1).address(4), lab.pod(0).address(4)] as const;
    const good = udpPacket({ source: pods[0], destination: pods[1] });
    const foreign = udpPacket({ source: lab.pod(2).address(4), destination: pods[1] });
    const { peers } = JSON.parse(await adminPage((other as WeftNode).adminSocket, '/peers')) as {
      peers: PeerJson[];
    };
    const { mac } = peers.find(({ subnet }) => subnet === subnetOf(node())) as PeerJson;
    await kernel.namespace.ip('addr', 'add', `${STRANGER}/24`, 'dev', UNDERLAY_DEVICE);
    const follow = new Weft(node(), 'drops', '--follow', '--json');
    const seen = (): Record<string, string | number | null>[] =>
      follow.stdout
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line));
    const has = (reason: string) => () => seen().some((sample) => sample['reason'] === reason);
    await until('no route', async () => {
      await lab
        .pod(0)
        .namespace.exec('ping', ['-c1', '-W0.1', '10.244.250.9'], { allowFailure: true });
      return has('outNoRoute')();
    });
    await sendFrom(other, other.underlay.address4, frame(mac, foreign));
    await until('foreign source', has('inForeignSource'));
    await sendFrom(other, other.underlay.address4, frame(mac, good, 2));
    await until('wrong VNI', has('inWrongVni'));
    await sendFrom(kernel, STRANGER, frame(mac, good));
    await until('unknown peer', has('inUnknownPeer'));
    const of = (reason: string) => seen().find((sample) => sample['reason'] === reason);
    await follow.end('SIGTERM');
    const own = lab.pod(0).address(4);
    assert.equal(of('outNoRoute')?.['packet'], `${own} > 10.244.250.9 icmp type 8, 84 bytes`);
    assert.equal(of('outNoRoute')?.['outer'], null);
    const text = (source: string): string => `${source}:4000 > ${own}:5000 udp, 28 bytes`;
    assert.equal(of('inForeignSource')?.['packet'], text(lab.pod(2).address(4)));
    assert.match(String(of('inForeignSource')?.['outer']), /^10\.99\.0\.2:\d+$/);
    assert.equal(of('inWrongVni')?.['packet'], text(pods[0]));
    assert.equal(of('inUnknownPeer')?.['packet'], text(pods[0]));
    assert.match(String(of('inUnknownPeer')?.['outer']), /^10\.99\.0\.200:\d+$/);

    const table = new Weft(node(), 'drops');
    assert.equal(await table.end(), 0);
    assert.match(table.stdout, /^REASON +WORKER 0 +WORKER 1 +TOTAL +WHAT, AND WHAT TO DO\n/);
    assert.match(table.stdout, /\ninWrongVni +\d+ +\d+ +1 +other VXLAN network identifier: /);
  });

  /** One datagram to the node under test. */
  async function sendFrom(from: LabNode, address: string, payload: Buffer): Promise<void> {
    const script = `const s = require('dgram').createSocket('udp4');
      s.bind(0, '${address}', () => s.send(Buffer.from('${payload.toString('hex')}', 'hex'), ${PORT}, '${node().underlay.address4}', () => s.close()));`;
    await from.namespace.exec(process.execPath, ['-e', script]);
  }
});

function frame(mac: string, packet: Uint8Array, vni = 1): Buffer {
  const header = Buffer.from(`08000000${vni.toString(16).padStart(6, '0')}00`, 'hex');
  const ethernet = Buffer.from(`${mac.replaceAll(':', '')}0299999999990800`, 'hex');
  return Buffer.concat([header, ethernet, packet]);
}
