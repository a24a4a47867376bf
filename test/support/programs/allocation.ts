/**
 * Forwards a million packets each way with a young generation so large that nothing is collected: what the loop allocates stays
 * visible in the heap. Prints {"packets","heapBytes"}. Needs --expose-gc.
 */
import { LAYOUT } from '../../../src/memory/layout.ts';
import { pattern, udpPacket } from '../packets.ts';
import { readDatagrams } from '../pcap.ts';
import { Rig } from '../rig.ts';

const BATCH = 32;
const rig = new Rig();
/** Every packet its own flow, so that the far side does not merge them on the way in. */
const inner = Array.from({ length: BATCH }, (_, i) =>
  udpPacket({
    source: '10.244.1.2',
    destination: '10.244.2.2',
    sourcePort: 4000 + i,
    payload: pattern(64),
  }),
);
const outer = readDatagrams('kernel-vxlan.pcap').find((d) => d.version === 4 && d.source[3] === 2);
if (!outer) throw new Error('no frame to receive');
// tunIn rows of the far side serve both its sending and its TUN reads, so the two directions run one after the other.
function outbound(batches: number): void {
  for (let i = 0; i < BATCH; i++) rig.stageTun(i, inner[i] as Uint8Array);
  for (let batch = 0; batch < batches; batch++) {
    rig.addon.tunSend(rig.farEngine, 0, BATCH);
    rig.forwarder.breath.take();
    rig.addon.udpReceive(rig.farEngine, 0);
  }
}
function inbound(batches: number): void {
  for (let i = 0; i < BATCH; i++) rig.stageUdp(i, new Uint8Array(outer?.payload ?? []));
  const rows = rig.far.tunIn.slice(0, BATCH * LAYOUT.rowInts);
  const slots = rig.far.bytes.slice(0, BATCH * LAYOUT.slotStride);
  for (let batch = 0; batch < batches; batch++) {
    rig.far.tunIn.set(rows);
    if (batch % 64 === 0) rig.far.bytes.set(slots);
    rig.addon.udpSend(rig.farEngine, 0, BATCH);
    rig.forwarder.breath.take();
    while (rig.addon.tunReceive(rig.farEngine, 0) > 0) {
      // what the node delivered is only drained
    }
    rig.far.bytes.set(slots);
  }
}

outbound(3000);
inbound(500);
const collect = globalThis.gc as () => void;
collect();
collect();
const beforePackets = rig.count('outPackets') + rig.count('inPackets');
const before = process.memoryUsage().heapUsed;
outbound(Math.ceil(1_000_000 / BATCH));
const afterOutbound = process.memoryUsage().heapUsed;
inbound(Math.ceil(100_000 / BATCH));
const after = process.memoryUsage().heapUsed;
const packets = rig.count('outPackets') + rig.count('inPackets') - beforePackets;
process.stdout.write(
  `${JSON.stringify({ packets, outboundHeapBytes: afterOutbound - before, heapBytes: after - before })}\n`,
);
if (!rig.isBalanced()) throw new Error('a packet is not counted once');
rig.close();
