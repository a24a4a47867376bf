/** The gate: headers of a mix of packets, each in its own slot of the pool as a batch lies there. */
import { Pool, slotAt } from '../../../src/dataplane/pool.ts';
import { LAYOUT } from '../../../src/memory/layout.ts';
import { IpHeader, parseIp } from '../../../src/wire/ip.ts';
import { buildPacket, type PacketInput, pattern } from '../../../test/support/native/packets.ts';
import type { Case, Work } from '../case.ts';

const PACKETS = LAYOUT.tunInRows;
const BATCHES = 64;
/** What a batch repeats: mostly TCP, small and large, both families, one with an extension header. */
const MIX: readonly PacketInput[] = [
  { version: 4, protocol: 'tcp', payload: pattern(1398), tcpOptions: 12 },
  { version: 4, protocol: 'tcp', payload: pattern(0), tcpOptions: 12 },
  { version: 6, protocol: 'tcp', payload: pattern(1378), tcpOptions: 12 },
  { version: 4, protocol: 'udp', payload: pattern(64) },
  { version: 4, protocol: 'tcp', payload: pattern(64_000), tcpOptions: 12 },
  { version: 6, protocol: 'udp', payload: pattern(512) },
  { version: 6, protocol: 'udp', payload: pattern(64), extension: 8 },
];
/** One packet in this many is cut off and must be refused. */
const BROKEN_EVERY = 16;

export function gateCases(): Case[] {
  return [{ name: 'gate/parseIp, packet mix', opsPerCall: PACKETS * BATCHES, open: openGate }];
}

function openGate(): Work {
  const pool = new Pool();
  const header = new IpHeader();
  const lengths = new Int32Array(PACKETS);
  let validBytes = 0;
  for (let i = 0; i < PACKETS; i++) {
    const { bytes } = buildPacket(MIX[i % MIX.length] as PacketInput);
    const isBroken = i % BROKEN_EVERY === BROKEN_EVERY - 1;
    pool.bytes.set(bytes, slotAt(i));
    lengths[i] = isBroken ? bytes.length - 1 : bytes.length;
    if (!isBroken) validBytes += bytes.length;
  }
  const run = (): number => {
    let sum = 0;
    for (let batch = 0; batch < BATCHES; batch++) {
      for (let i = 0; i < PACKETS; i++) {
        if (parseIp(pool.view, slotAt(i), lengths[i] as number, header)) sum += header.totalBytes;
      }
    }
    return sum;
  };
  return { run, expected: validBytes * BATCHES };
}
