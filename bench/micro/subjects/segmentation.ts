/** One TCP super-packet, cut and sent into real UDP sockets on the loopback. Nobody reads them: what does not fit is dropped. */
import { FEATURE, FEATURES_ALL, GSO, GSO_FLAG } from '../../../src/memory/layout.ts';
import { buildPacket, pattern } from '../../../test/support/native/packets.ts';
import { makeRig, type RowInput } from '../../../test/support/native/rig.ts';
import type { Case, Work } from '../case.ts';

const SEGMENT_BYTES = 1_398;
const SEGMENTS = 46;
const ENCAPSULATION = pattern(22); // as long as VXLAN's
const TCP_CHECKSUM_AT = 16;

export function segmentationCases(): Case[] {
  const ways = { UDP_SEGMENT: FEATURES_ALL, datagrams: FEATURES_ALL & ~FEATURE.udpGso };
  return Object.entries(ways).map(([name, features]) => ({
    name: `segmentation/64 KiB TCP to UDP, ${name}`,
    opsPerCall: 1,
    bytesPerOp: SEGMENTS * SEGMENT_BYTES,
    segmentsPerOp: SEGMENTS,
    open: () => openSegmentation(features),
  }));
}

function openSegmentation(features: number): Work {
  const rig = makeRig({ features });
  const failed = rig.send([superPacket()]);
  const arrived = rig.receive(SEGMENTS).length;
  if (failed > 0 || arrived !== SEGMENTS) {
    rig.end();
    throw new Error(`loopback: ${arrived} of ${SEGMENTS} datagrams arrived before the measurement`);
  }
  const run = (): number => {
    const before = rig.stat('udpDatagramsOut');
    const failedRows = rig.addon.udpSend(rig.engine, rig.link, 1);
    return rig.stat('udpDatagramsOut') - before - failedRows;
  };
  return { run, expected: SEGMENTS, close: () => rig.end() };
}

function superPacket(): RowInput {
  const payload = pattern(SEGMENTS * SEGMENT_BYTES);
  const packet = buildPacket({ version: 4, protocol: 'tcp', payload, tcpOptions: 12 });
  return {
    bytes: Buffer.concat([ENCAPSULATION, packet.bytes]),
    headerBytes: ENCAPSULATION.length,
    gso: GSO.tcp4 | GSO_FLAG.needsCsum,
    gsoSize: SEGMENT_BYTES,
    csumStart: packet.start,
    csumOffset: TCP_CHECKSUM_AT,
  };
}
