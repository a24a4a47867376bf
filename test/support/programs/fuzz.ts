/**
 * Feeds mutated real frames to a whole worker, both directions, some in the name of the node itself or of nobody, and checks after each
 * batch that every packet was counted once, in the totals and for the peer, that none with such a source came through, and that what was
 * captured of them is in order.
 * Arguments: packets per direction, seed. Exits 0 and prints the totals, or throws.
 */

import { Random } from '../../../lab/random.ts';
import {
  CAPTURE,
  CAPTURE_HEADER,
  CAPTURE_RING_BYTES,
  RECORD,
  RECORD_HEADER_BYTES,
  SNAP_BYTES_MIN,
} from '../../../src/memory/capture.ts';
import { LAYOUT } from '../../../src/memory/layout.ts';
import { PEER_COUNTER } from '../../../src/memory/peer-counters.ts';
import { familyOf, formatAddress } from '../../../src/shared/address.ts';
import { VXLAN_ENCAP_BYTES } from '../../../src/wire/vxlan.ts';
import { checkSource, ODD_SOURCES, withSource } from '../inner-source.ts';
import { lyingOffload, mutate } from '../mutate.ts';
import { pattern, tcpPacket, udpPacket } from '../packets.ts';
import { readDatagrams } from '../pcap.ts';
import { Rig } from '../rig.ts';

const BATCH = 16;
const packets = Number(process.argv[2]);
const random = new Random(Number(process.argv[3]));

function corpus(kind: 'vxlan' | 'udp', family: 4 | 6): Uint8Array[] {
  const name = kind === 'vxlan' ? 'kernel-vxlan.pcap' : 'flannel-udp.pcap';
  const captured = readDatagrams(name).filter((d) => d.version === family);
  return captured.map((d) => new Uint8Array(d.payload));
}

function innerPackets(family: 4 | 6): Uint8Array[] {
  const [source, destination] =
    family === 4 ? ['10.244.1.2', '10.244.2.2'] : ['fd00:244:0:1::2', 'fd00:244:0:2::2'];
  return [
    udpPacket({ source, destination, payload: pattern(3000) }),
    tcpPacket({ source, destination, payload: pattern(9000), options: pattern(12) }),
    tcpPacket({ source, destination, payload: pattern(200) }),
    udpPacket({ source, destination }),
  ];
}

/** One of the frames, every eighth with an inner source that nobody may have. */
function frameFrom(rig: Rig, outer: Uint8Array[], headerBytes: number): Uint8Array {
  const frame = random.pick(outer);
  if (random.below(8) !== 0) return frame;
  const own = rig.ownAddresses.filter((address) => familyOf(address) === rig.family);
  const source = random.pick([...own.map(formatAddress), ...ODD_SOURCES[rig.family]]);
  const inner = withSource(frame.subarray(headerBytes), source);
  return Uint8Array.of(...frame.subarray(0, headerBytes), ...inner);
}

function runBatch(rig: Rig, outer: Uint8Array[], inner: Uint8Array[], headerBytes: number): void {
  for (let i = 0; i < BATCH; i++)
    rig.stageUdp(i, mutate(random, frameFrom(rig, outer, headerBytes)));
  rig.addon.udpSend(rig.farEngine, 0, BATCH);
  rig.forwarder.breath.take();
  for (const { packet } of rig.takeTun()) checkSource(packet, rig.ownAddresses);
  for (let i = 0; i < BATCH; i++) {
    const { gso, gsoSize, csumStart, csumOffset } = lyingOffload(random);
    rig.stageTun(i, mutate(random, random.pick(inner)), gso, gsoSize, csumStart, csumOffset);
  }
  rig.addon.tunSend(rig.farEngine, 0, BATCH);
  rig.forwarder.breath.take();
  rig.addon.udpReceive(rig.farEngine, 0);
  for (const { packet } of rig.takeTun()) checkSource(packet, rig.ownAddresses);
  rig.takeIcmp();
}

/** Another side and filter than before, or none. */
function orderCapture(words: Int32Array, session: number): void {
  words[CAPTURE.snapBytes] = SNAP_BYTES_MIN + random.below(3000);
  words[CAPTURE.slot4] = random.below(3) - 1;
  words[CAPTURE.slot6] = -1;
  words[CAPTURE.hasAddress] = random.below(4) === 0 ? 1 : 0;
  words[CAPTURE.order] = (session << 2) | random.below(3);
}

function checkCapture(words: Int32Array, session: number): void {
  const head = words[CAPTURE.head] as number;
  let tail = words[CAPTURE.tail] as number;
  while (tail !== head) {
    const at = CAPTURE_HEADER + ((tail & (CAPTURE_RING_BYTES - 1)) >> 2);
    const word = (name: keyof typeof RECORD): number => words[at + RECORD[name]] as number;
    const bytes = word('bytes');
    const isFiller = word('session') === 0;
    const isRight =
      word('session') === session &&
      word('capturedBytes') <= word('packetBytes') &&
      word('capturedBytes') + RECORD_HEADER_BYTES <= bytes;
    if (bytes < 8 || bytes % 8 !== 0 || !(isFiller || isRight))
      throw new Error(`bad record: ${words.slice(at, at + 6)}`);
    tail = (tail + bytes) | 0;
  }
  words[CAPTURE.tail] = tail;
}

function checkPeer(rig: Rig): void {
  const peer = new Float64Array(rig.observation.peerCounters);
  const { counters } = rig.totals();
  const received = counters.deliveredPackets + rig.drops('inTunRefused');
  const isRight =
    peer[PEER_COUNTER.sentPackets] === counters.sentPackets &&
    peer[PEER_COUNTER.sentBytes] === counters.sentBytes &&
    peer[PEER_COUNTER.receivedPackets] === received;
  if (!isRight) throw new Error(`the peer's counters are not the totals: ${peer.slice(0, 8)}`);
}

for (const [kind, family] of [
  ['vxlan', 4],
  ['vxlan', 6],
  ['udp', 4],
] as const) {
  const rig = new Rig({
    kind,
    family,
    ownMac: family === 6 ? '02:00:00:00:06:01' : '02:00:00:00:00:01',
  });
  const outer = corpus(kind, family);
  const inner = innerPackets(family);
  const capture = new Int32Array(rig.observation.capture);
  for (let sent = 0; sent < packets / 3; sent += BATCH) {
    const session = 1 + sent / BATCH;
    orderCapture(capture, session);
    runBatch(rig, outer, inner, kind === 'vxlan' ? VXLAN_ENCAP_BYTES : 0);
    checkCapture(capture, session);
    checkPeer(rig);
    if (!rig.isBalanced())
      throw new Error(`a packet is not counted once: ${JSON.stringify(rig.totals())}`);
  }
  const { inPackets, deliveredPackets, outPackets, sentPackets } = rig.totals().counters;
  if (inPackets === 0 || deliveredPackets === 0 || outPackets === 0 || sentPackets === 0) {
    throw new Error(`nothing got through: ${JSON.stringify(rig.totals())}`);
  }
  process.stdout.write(
    `${kind} IPv${family}: ${inPackets} in (${deliveredPackets} delivered), ${outPackets} out (${sentPackets} sent)\n`,
  );
  if (capture[CAPTURE.head] === 0) throw new Error('nothing was captured');
  if (rig.far.bytes.length !== LAYOUT.poolSlots * LAYOUT.slotStride)
    throw new Error('pool changed');
  rig.close();
}
