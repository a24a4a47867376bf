/**
 * A TCP stream from pod to pod without TCP's timers: whatever has not arrived is sent again when the test says so. What arrives is judged
 * as the pod's kernel would: wrong checksums are discarded, and what is declared unfinished is believed.
 */
import assert from 'node:assert/strict';
import { GSO, GSO_FLAG } from '../../../src/memory/layout.ts';
import type { TunPacket } from '../far-end.ts';
import { hasGoodChecksum, slowChecksum, tcpPacket } from '../packets.ts';
import { PROTOCOL, protocolOf, segmented, transportAt, viewOf } from '../segmenter.ts';
import type { Mesh } from './mesh.ts';

const MTU = 1450;
const TCP_BYTES = 20;
const TCP_CHECKSUM_AT = 16;
/** Payload of the largest packet that the sending kernel makes. */
const SUPER_BYTES = 20_000;
const FIRST_SEQUENCE = 1_000;

export class Stream {
  /** super-packets among what arrived */
  merged = 0;
  private readonly mesh: Mesh;
  private readonly from: number;
  private readonly to: number;
  private readonly payload: Uint8Array;
  /** 1 for each byte that is there */
  private readonly arrived: Uint8Array;
  private readonly is4: boolean;

  constructor(mesh: Mesh, from: number, to: number, payload: Uint8Array) {
    this.mesh = mesh;
    this.from = from;
    this.to = to;
    this.payload = payload;
    this.arrived = new Uint8Array(payload.length);
    this.is4 = !mesh.node(from).identity.pod.includes(':');
  }

  get missingBytes(): number {
    return this.arrived.reduce((missing, there) => missing - there, this.payload.length);
  }

  /** Writes all that is missing. */
  send(): void {
    let at = this.arrived.indexOf(0);
    while (at >= 0) {
      const gap = this.arrived.indexOf(1, at);
      const end = Math.min(gap < 0 ? this.payload.length : gap, at + SUPER_BYTES);
      this.write(at, end);
      at = this.arrived.indexOf(0, end);
    }
  }

  private write(at: number, end: number): void {
    const ipBytes = this.is4 ? 20 : 40;
    const gsoSize = MTU - ipBytes - TCP_BYTES;
    const packet = tcpPacket({
      source: this.mesh.node(this.from).identity.pod,
      destination: this.mesh.node(this.to).identity.pod,
      seq: FIRST_SEQUENCE + at,
      payload: this.payload.subarray(at, end),
    });
    const gso = (this.is4 ? GSO.tcp4 : GSO.tcp6) | GSO_FLAG.needsCsum;
    const offload = { gso, gsoSize, csumStart: ipBytes, csumOffset: TCP_CHECKSUM_AT };
    this.mesh.write(this.from, packet, end - at > gsoSize ? offload : {});
  }

  /** Takes what reached the pod. Throws when a byte that its kernel would accept is not the stream's. */
  receive(): void {
    for (const packet of this.mesh.take(this.to)) {
      const segments = segmentsOf(packet);
      if (segments.length > 1) this.merged++;
      for (const segment of segments) this.accept(segment);
    }
  }

  private accept(segment: Uint8Array): void {
    const start = transportAt(segment);
    const at = viewOf(segment).getUint32(start + 4) - FIRST_SEQUENCE;
    const payload = segment.subarray(start + ((segment[start + 12] as number) >> 4) * 4);
    const sent = this.payload.subarray(at, at + payload.length);
    assert.ok(Buffer.compare(payload, sent) === 0, `bytes ${at} to ${at + payload.length} differ`);
    this.arrived.fill(1, at, at + payload.length);
  }
}

/** TCP segments of one packet that the pod's kernel would accept. */
function segmentsOf({ packet, gso, gsoSize, csumStart, csumOffset }: TunPacket): Uint8Array[] {
  if (protocolOf(packet) !== PROTOCOL.tcp || !hasGoodIpHeader(packet)) return [];
  const gsoType = gso & 0xff;
  if (gsoType === GSO.none) {
    return (gso & GSO_FLAG.needsCsum) !== 0 || hasGoodChecksum(packet) ? [packet] : [];
  }
  const headerBytes = csumStart + ((packet[csumStart + 12] as number) >> 4) * 4;
  return segmented({
    flags: gso >> 8,
    gsoType,
    headerBytes,
    gsoSize,
    csumStart,
    csumOffset,
    packet,
  });
}

function hasGoodIpHeader(packet: Uint8Array): boolean {
  const is4 = (packet[0] as number) >> 4 === 4;
  return !is4 || slowChecksum(packet.subarray(0, transportAt(packet))) === 0;
}
