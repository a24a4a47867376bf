/**
 * The flood: random and mutated datagrams at the VXLAN port and random packets into the TUN, then three questions: does the daemon
 * run, does it forward, and is every packet counted once?   npm run flood [-- PACKETS]   (10 million each way by default)
 */
import type { Exec } from '../../src/host/exec.ts';
import { ipJson, LINK } from '../../src/host/ip-json.ts';
import { formatAddress } from '../../src/shared/address.ts';
import { messageOf } from '../../src/shared/errors.ts';
import { Lab } from '../lab.ts';
import type { Namespace } from '../namespace.ts';
import { buildTool } from '../tool.ts';
import { ping } from '../traffic.ts';

const DEVICE = 'flannel.1';
const TIMEOUT_MS = 900_000;

interface Status {
  healthy: boolean;
  counters: Record<string, number>;
  stats: Record<string, number>;
  drops: { outbound: Record<string, number>; inbound: Record<string, number> };
}

function sum(record: Record<string, number>): number {
  return Object.values(record).reduce((a, b) => a + b, 0);
}

/** An IPv4 UDP packet without payload checksum, as hex. */
function innerHex(source: string, destination: string): string {
  const bytes = Buffer.alloc(60);
  Buffer.from('4500003c00004000401100000000000000000000', 'hex').copy(bytes);
  Buffer.from(source.split('.').map(Number)).copy(bytes, 12);
  Buffer.from(destination.split('.').map(Number)).copy(bytes, 16);
  let total = 0;
  for (let at = 0; at < 20; at += 2) total += bytes.readUInt16BE(at);
  total = (total >>> 16) + (total & 0xffff);
  bytes.writeUInt16BE(~total & 0xffff, 10);
  Buffer.from('1f901f90002800001122', 'hex').copy(bytes, 20);
  return bytes.toString('hex');
}

async function inject(space: Namespace, program: string, args: string[]): Promise<number> {
  const { stdout } = await space.exec(program, args, { timeoutMs: TIMEOUT_MS });
  return Number(stdout);
}

async function deviceCounters(space: Namespace): Promise<{ packets: number; dropped: number }> {
  const run: Exec = async (command, args) => (await space.exec(command, args)).stdout;
  const [link] = await ipJson(LINK, ['-s', 'link', 'show', 'dev', DEVICE], run);
  return link?.stats64?.tx ?? { packets: 0, dropped: 0 };
}

async function ownMac(lab: Lab, key: string): Promise<string> {
  const { stdout } = (await lab.nodes[0]?.namespace.exec('cat', [
    `${lab.storeDir}/subnets/${key}`,
  ])) ?? { stdout: '' };
  return (/"VtepMAC":"([^"]+)"/.exec(stdout)?.[1] ?? '').replaceAll(':', '');
}

async function flood(lab: Lab, program: string, packets: number): Promise<boolean> {
  const [node, peer] = lab.weftNodes;
  if (!node || !peer) throw new Error('the lab has no two weft nodes');
  const [own, far] = [lab.pod(0).address(4), lab.pod(1).address(4)];
  const key = `${formatAddress(node.network.subnet4?.words ?? [0, 0, 0, 0])}-24`;
  const mac = await ownMac(lab, key);
  const status = async (): Promise<Status> => (await node.status()) as Status;
  const before = await status();
  const deviceBefore = await deviceCounters(node.namespace);
  const wire = `0800000000000100${mac}0200000000990800${innerHex(far, own)}`;
  const target = [
    'udp',
    peer.underlay.address4,
    node.underlay.address4,
    '8472',
    String(packets),
    '7',
    wire,
  ];
  process.stderr.write(`${packets} datagrams to the VXLAN port\n`);
  const datagrams = await inject(peer.namespace, program, target);
  process.stderr.write(`${packets} packets into ${DEVICE}\n`);
  const device = ['tun', DEVICE, String(packets), '9', innerHex(own, far)];
  const injected = await inject(node.namespace, program, device);
  const loss = (await ping(lab.pod(0), lab.pod(1), { count: 50 })).lossPct;
  const after = await status();
  const deviceAfter = await deviceCounters(node.namespace);
  const grown = (pick: (s: Status) => number): number => pick(after) - pick(before);
  const inPackets = grown((s) => s.counters['inPackets'] ?? 0);
  const outPackets = grown((s) => s.counters['outPackets'] ?? 0);
  const taken = deviceAfter.packets - deviceBefore.packets;
  const full = deviceAfter.dropped - deviceBefore.dropped;
  const checks: [string, boolean][] = [
    [`daemon healthy, ping loss ${loss} %`, after.healthy && loss === 0],
    [
      `in: ${datagrams} sent, ${inPackets} counted, ${grown((s) => s.stats['udpSocketDrops'] ?? 0)} dropped by the full socket; counted = delivered + drops`,
      after.counters['inPackets'] ===
        (after.counters['deliveredPackets'] ?? 0) + sum(after.drops.inbound),
    ],
    [
      `out: ${injected} injected, ${taken} taken (${full} lost in the full queue), ${outPackets} counted; counted = sent + drops`,
      taken === outPackets &&
        after.counters['outPackets'] ===
          (after.counters['sentPackets'] ?? 0) + sum(after.drops.outbound),
    ],
  ];
  for (const [text, ok] of checks) process.stdout.write(`${ok ? 'ok  ' : 'FAIL'}  ${text}\n`);
  for (const [name, count] of Object.entries({ ...after.drops.outbound, ...after.drops.inbound })) {
    if (count > 0) process.stdout.write(`      ${name} ${count}\n`);
  }
  return checks.every(([, ok]) => ok);
}

async function main(): Promise<number> {
  const packets = Number(process.argv[2] ?? 10_000_000);
  if (!Number.isSafeInteger(packets) || packets < 1) {
    process.stderr.write('usage: npm run flood [-- PACKETS]\n');
    return 2;
  }
  const program = await buildTool('inject');
  const lab = await Lab.build({ nodes: [{ kind: 'weft' }, { kind: 'weft' }] });
  try {
    return (await flood(lab, program, packets)) ? 0 : 1;
  } finally {
    await lab.close();
  }
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`flood: ${messageOf(error)}\n`);
  return 1;
});
