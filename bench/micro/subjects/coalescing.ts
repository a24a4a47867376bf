/** A batch of TCP segments written to a socket pair that stands for the TUN, and read from its other end. */
import { type Addon, type EngineViews, loadAddon } from '../../../src/memory/addon.ts';
import { FEATURES_ALL, LAYOUT, ROW } from '../../../src/memory/layout.ts';
import { makeViews, udpOptions } from '../../../test/support/native/rig.ts';
import { pattern, tcpPacket } from '../../../test/support/packets.ts';
import type { Case, Work } from '../case.ts';

const SEGMENTS = 44;
const SEGMENT_BYTES = 1_398;
const HEADER_BYTES = 40;

export function coalescingCases(): Case[] {
  return [1, SEGMENTS].map((flows) => ({
    name: `coalescing/${SEGMENTS} segments of ${flows} flow${flows > 1 ? 's' : ''}`,
    opsPerCall: 1,
    bytesPerOp: SEGMENTS * SEGMENT_BYTES,
    segmentsPerOp: SEGMENTS,
    open: () => openBatch(flows),
  }));
}

function openBatch(flows: number): Work {
  const addon = loadAddon();
  const [near, far] = addon.openPair();
  const writer = new PairEnd(addon, near);
  const reader = new PairEnd(addon, far);
  for (let i = 0; i < SEGMENTS; i++) writer.stage(i, segment(i, flows));
  const run = (): number => {
    addon.tunSend(writer.engine, 0, SEGMENTS);
    return reader.drain();
  };
  const close = (): void => {
    for (const end of [writer, reader]) end.close();
  };
  return { run, expected: SEGMENTS * SEGMENT_BYTES + flows * HEADER_BYTES, close };
}

/** The i-th segment of the batch; with one flow each continues the one before. */
function segment(i: number, flows: number): Uint8Array {
  return tcpPacket({
    source: '10.244.2.2',
    destination: '10.244.1.2',
    sourcePort: 4_000 + (i % flows),
    seq: 1 + Math.floor(i / flows) * SEGMENT_BYTES,
    payload: pattern(SEGMENT_BYTES, i + 1),
  });
}

/** An engine at one end of the pair. Its UDP socket is there because a link has one; nothing uses it. */
class PairEnd {
  readonly engine: number;
  private readonly addon: Addon;
  private readonly views: EngineViews = makeViews();
  private readonly fds: number[];

  constructor(addon: Addon, tunFd: number) {
    this.addon = addon;
    this.engine = addon.createEngine(this.views);
    const udpFd = addon.openUdp(udpOptions(4)).fd;
    const sendFds = Int32Array.of(udpFd);
    const features = FEATURES_ALL;
    addon.attachLink(this.engine, { family: 4, tunFd, udpFd, tapFd: -1, sendFds, features });
    this.fds = [tunFd, udpFd];
  }

  stage(index: number, packet: Uint8Array): void {
    const at = index * LAYOUT.slotStride + LAYOUT.slotHeadroom;
    this.views.pool.set(packet, at);
    this.views.tunOut[index * LAYOUT.rowInts + ROW.offset] = at;
    this.views.tunOut[index * LAYOUT.rowInts + ROW.length] = packet.length;
  }

  /** Reads until nothing is left. Returns the bytes of all packets. */
  drain(): number {
    let bytes = 0;
    for (;;) {
      const count = this.addon.tunReceive(this.engine, 0);
      if (count <= 0) return bytes;
      for (let i = 0; i < count; i++) {
        bytes += this.views.tunIn[i * LAYOUT.rowInts + ROW.length] as number;
      }
    }
  }

  close(): void {
    this.addon.destroyEngine(this.engine);
    for (const fd of this.fds) this.addon.close(fd);
  }
}
