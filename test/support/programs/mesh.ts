/**
 * Nodes whose pods send spoiled packets over a hostile network, and strangers who send whatever they like. After each step every packet
 * of every node and of the network must be accounted for. Arguments: steps, seed. Exits 0 and prints what got through and a digest, or 1
 * with the last events and the command that repeats the run.
 */

import { Random } from '../../../lab/random.ts';
import { loadAddon } from '../../../src/memory/addon.ts';
import type { CounterName } from '../../../src/memory/counters.ts';
import { formatAddress } from '../../../src/shared/address.ts';
import { ODD_SOURCES, withSource } from '../inner-source.ts';
import { FLANNEL_UDP, Mesh, VXLAN } from '../mesh/mesh.ts';
import type { MeshNode } from '../mesh/node.ts';
import { toyOf } from '../mesh/toy.ts';
import { lyingOffload, mutate } from '../mutate.ts';
import { pattern, tcpPacket, udpPacket } from '../packets.ts';

const NODES = 4;
const PACKETS_MAX = 8;
/** So that what one packet is cut into fits the sockets. */
const SEGMENT_BYTES_MIN = 64;
const LINES = 40;
const FAULTS = {
  loss: 0.02,
  duplication: 0.05,
  corruption: 0.2,
  damagesMax: 3,
  reordering: 0.1,
  congestion: 0.02,
  delayStepsMax: 3,
  merging: 0.7,
};

const steps = Number(process.argv[2]);
const seed = Number(process.argv[3]);

const common = { seed, nodes: NODES, faults: FAULTS };
const KINDS: Readonly<Record<string, () => Mesh>> = {
  'vxlan IPv4': () => Mesh.start({ ...VXLAN, ...common }),
  'vxlan IPv6': () => Mesh.start({ ...VXLAN, ...common, family: 6 }),
  'udp IPv4': () => Mesh.start({ ...FLANNEL_UDP, ...common }),
  'toy IPv4': () => Mesh.start({ ...toyOf(NODES), ...common }),
  ...('sealLink' in loadAddon() && {
    'sealed toy IPv4': () => Mesh.start({ ...toyOf(NODES, true), ...common }),
  }),
};

/** A pod of this node; now and then one of another, an address of the receiver itself, or one that nobody has. */
function sourceOf(random: Random, from: MeshNode, other: MeshNode, to: MeshNode): string {
  const kind = random.below(8);
  if (kind === 0) return other.identity.pod;
  if (kind === 1) return formatAddress(random.pick(to.localAddresses));
  if (kind === 2) return random.pick(ODD_SOURCES[to.identity.family]);
  return from.identity.pod;
}

/** A packet right in every field, but for its source. */
function goodPacket(mesh: Mesh, random: Random, from: number): Uint8Array {
  const to = random.pick(mesh.nodes);
  const source = mesh.node(from).identity.pod;
  const destination = to.identity.pod;
  const payload = pattern(random.below(2) === 0 ? random.below(100) : random.below(9000), 3);
  const packet =
    random.below(2) === 0
      ? udpPacket({ source, destination, payload })
      : tcpPacket({ source, destination, payload, seq: 1 + random.below(1000) });
  return withSource(packet, sourceOf(random, mesh.node(from), random.pick(mesh.nodes), to));
}

function writePackets(mesh: Mesh, random: Random): void {
  for (let i = random.below(PACKETS_MAX); i > 0; i--) {
    const from = 1 + random.below(NODES);
    const packet = goodPacket(mesh, random, from);
    if (random.below(2) === 0) mesh.write(from, packet);
    else mesh.write(from, mutate(random, packet), lyingOffload(random, SEGMENT_BYTES_MIN));
  }
}

/** Somebody else's: a spoiled copy of what a node has sent, from a node's address or a stranger's. */
function injectDatagram(mesh: Mesh, random: Random): void {
  const { address } = random.pick(mesh.nodes).identity;
  const source = random.below(4) > 0 ? formatAddress(address) : '198.51.100.9';
  const bytes = mutate(random, mesh.fabric.newest);
  mesh.inject(source, 1 + random.below(NODES), bytes, random.below(4));
}

function run(mesh: Mesh, random: Random): void {
  for (let step = 0; step < steps; step++) {
    writePackets(mesh, random);
    if (random.below(4) === 0) injectDatagram(mesh, random);
    mesh.step();
    for (let node = 1; node <= NODES; node++) mesh.take(node);
  }
  mesh.settle();
}

function report(name: string, mesh: Mesh): void {
  const sum = (counter: CounterName): number =>
    mesh.nodes.reduce((total, node) => total + node.count(counter), 0);
  const { accepted } = mesh.fabric.books;
  const delivered = sum('deliveredPackets');
  if (delivered === 0 || delivered === sum('inPackets')) throw new Error('nothing to fuzz');
  const text = `${name}: ${sum('outPackets')} packets, ${accepted} datagrams, ${delivered} delivered`;
  process.stdout.write(`${text}, ${mesh.log.digest()}\n`);
}

for (const [name, start] of Object.entries(KINDS)) {
  const mesh = start();
  try {
    run(mesh, new Random(seed + 1));
    report(name, mesh);
  } catch (error) {
    process.stderr.write(
      `${mesh.log.lines(LINES).join('\n')}\n${name}: ${(error as Error).stack}\n`,
    );
    process.stderr.write(`again: node dist/test/support/programs/mesh.js ${steps} ${seed}\n`);
    process.exit(1);
  }
  mesh.close();
}
