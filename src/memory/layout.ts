/**
 * The memory that TypeScript and C read together. Its twin is native/layout.h: the addon exports its values and
 * {@link assertLayout} compares them when the addon is loaded.
 */
export const LAYOUT = {
  magic: 0x77656674,
  version: 3,
  slotHeadroom: 128,
  slotPayload: 65536,
  slotStride: 128 + 65536 + 64,
  tunInRows: 64,
  udpInRows: 128,
  scratchSlots: 16,
  poolSlots: 64 + 128 + 16,
  tunOutRows: 1024,
  rowInts: 16,
  rowBad: 4095,
  rowGsoTunnel: 0x10000,
  statCount: 16,
  linksMax: 2,
  sendSocketsMax: 16,
  waitWake: 256,
  echoRowDoubles: 10,
  echoTokenBytes: 8,
  echoPayloadMax: 65507,
} as const;

/** Columns of a row, one Int32 each; see native/layout.h for units. */
export const ROW = {
  offset: 0,
  length: 1,
  gso: 2,
  gsoSize: 3,
  csumStart: 4,
  csumOffset: 5,
  headerBytes: 6,
  peer: 7,
  socket: 8,
  tos: 9,
  result: 10,
  port: 11,
  address: 12,
} as const;

/** Columns of a row of echoReceive, doubles; see native/layout.h. */
export const ECHO = {
  sequence: 0,
  errno: 1,
  mtu: 2,
  ttl: 3,
  payloadBytes: 4,
  atNs: 5,
  address: 6,
} as const;

/** virtio_net_hdr values (include/uapi/linux/virtio_net.h). */
export const GSO = { none: 0, tcp4: 1, tcp6: 4, udpL4: 5, ecn: 0x80 } as const;
/** The flags byte of a row's gso column, already shifted. */
export const GSO_FLAG = { needsCsum: 1 << 8, dataValid: 2 << 8 } as const;

/** Feature bits of a link; every fast path has one and a fallback with the same results. */
export const FEATURE = {
  batch: 1,
  udpGso: 2,
  udpGro: 4,
  pack: 8,
  coalesceTcp: 16,
  coalesceUdp: 32,
  tunTso: 64,
  tunUso: 128,
  tunnelGso: 256,
  spin: 512,
} as const;
export type FeatureName = keyof typeof FEATURE;
export const FEATURES_ALL = Object.values(FEATURE).reduce((all, bit) => all | bit, 0);

/** Statistics that C counts, in order; doubles at the head of each worker's counter block. */
export const STAT_NAMES = [
  'tunReads',
  'tunWrites',
  'udpReceiveCalls',
  'udpMessagesIn',
  'udpSendCalls',
  'udpMessagesOut',
  'udpDatagramsOut',
  'coalesced',
  'gsoFallbacks',
  'udpSocketDrops',
  'badChecksum',
  'tunnelWrites',
  'tunnelFallbacks',
  'waitNs',
] as const;

/** Throws when the addon was built from another layout than this file. */
export function assertLayout(native: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(LAYOUT)) {
    if (native[name] !== value) {
      throw new Error(
        `native addon: layout.${name} is ${native[name]}, expected ${value}; rebuild it with "npm run build"`,
      );
    }
  }
}
