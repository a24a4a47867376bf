/** Classic pcap: little endian, nanoseconds, packets that begin with an IP header (LINKTYPE_RAW). */
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const LINKTYPE_RAW = 101;

export function pcapHeader(snapBytes: number): Uint8Array {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(MAGIC_NANOSECONDS, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(snapBytes, 16);
  header.writeUInt32LE(LINKTYPE_RAW, 20);
  return header;
}

/** One packet; `bytes` may be less than the packet had. */
export function pcapRecord(
  timeMs: number,
  ns: number,
  packetBytes: number,
  bytes: Uint8Array,
): Uint8Array {
  const record = Buffer.alloc(16 + bytes.length);
  record.writeUInt32LE(Math.floor(timeMs / 1000), 0);
  record.writeUInt32LE((timeMs % 1000) * 1_000_000 + ns, 4);
  record.writeUInt32LE(bytes.length, 8);
  record.writeUInt32LE(packetBytes, 12);
  record.set(bytes, 16);
  return record;
}
