/**
 * The memory that TypeScript and C read together. Its twin is native/layout.h: the addon exports its numbers, and
 * {@link assertLayout} compares all of them with all of this file's when the addon is loaded.
 */
export const LAYOUT = {
  layoutVersion: 3,
  slotHeadroom: 128,
  slotPayload: 65536,
  slotStride: 128 + 65536 + 64,
  tunInRows: 64,
  udpInRows: 128,
  scratchSlots: 16,
  poolSlots: 64 + 128 + 16,
  tunOutRows: 1024,
  batchBytes: 256 * 1024,
  rowInts: 16,
  rowBad: 4095,
  rowGsoTunnel: 0x10000,
  statCount: 16,
  sealUnopened: 0,
  linksMax: 4,
  sendSocketsMax: 16,
  enginesMax: 16,
  waitTun: 1,
  waitUdp: 2,
  waitLinkShift: 2,
  waitWake: 256,
  echoRowDoubles: 10,
  echoTokenBytes: 8,
  echoPayloadMax: 65507,
  fastConfigBytes: 48,
  fastPeerKeyBytes: 8,
  fastPeerBytes: 40,
  fastCounts: 6,
  fastCountAll: 0x7fffffff,
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

/** gso_type of a virtio_net_hdr (include/uapi/linux/virtio_net.h), the low byte of a row's gso column; see native/gso.h. */
export const GSO = {
  none: 0,
  tcp4: 1,
  tcp6: 4,
  udpL4: 5,
  tunnelIpv4: 0x20,
  tunnelIpv6: 0x40,
  ecn: 0x80,
} as const;
/** flags of a virtio_net_hdr as they stand in a row's gso column: shifted by a byte. */
export const GSO_FLAG = { needsCsum: 1 << 8, dataValid: 2 << 8, tunnelCsum: 8 << 8 } as const;

/** Feature bits of a link; every fast path has one and a fallback with the same results. aqm and bulkQueue need batch. */
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
  aqm: 1024,
  bulkQueue: 2048,
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

/** Index of each in the counter block. */
const STAT = Object.fromEntries(STAT_NAMES.map((name, i) => [name, i]));

/** One row of netlinkReceive: ints. */
export const NEWS = { about: 0, gone: 1, device: 2, table: 3, protocol: 4, rowInts: 5 } as const;
/** What a row is about; lost: more happened than could be told. */
export const ABOUT = { lost: 0, link: 1, address: 2, route: 3, rule: 4, firewall: 5 } as const;

/** Maps of the fast path: offsets in bytes, and flags; see native/fast-path/maps.h. */
export const FAST_CONFIG = {
  flags: 0,
  local: 4,
  subnet: 8,
  mask: 12,
  vni: 16,
  mtu: 20,
  device: 24,
  probe: 28,
  port: 32,
  portFirst: 34,
  portCount: 36,
  mac: 38,
  merger: 44,
} as const;
export const FAST_FLAG = { out: 1, in: 2 } as const;
export const FAST_PEER = {
  address: 0,
  egress: 4,
  flags: 8,
  slot: 12,
  mac: 16,
  large: 24,
  merged: 32,
} as const;
export const FAST_PEER_FLAG = { out: 1, probe: 2, merge: 4 } as const;
/** Index of each count of the fast path. */
export const FAST_COUNT = {
  sentPackets: 0,
  sentBytes: 1,
  receivedPackets: 2,
  receivedBytes: 3,
  heardNs: 4,
  lost: 5,
} as const;

/** Tables whose names C spells with a prefix: csumStart of ROW is ROW_CSUM_START. */
const TABLES = {
  '': LAYOUT,
  ROW,
  ECHO,
  NEWS,
  ABOUT,
  GSO,
  GSO_FLAG,
  FEATURE,
  STAT,
  FAST_CONFIG,
  FAST_FLAG,
  FAST_PEER,
  FAST_PEER_FLAG,
  FAST_COUNT,
} as const;

function nativeName(table: string, name: string): string {
  const words = name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
  return table === '' ? words : `${table}_${words}`;
}

/** Every number of this file by C's name for it. */
const NUMBERS: ReadonlyMap<string, number> = new Map(
  Object.entries(TABLES).flatMap(([table, numbers]) =>
    Object.entries(numbers).map(([name, value]) => [nativeName(table, name), value] as const),
  ),
);

/** Throws when a number of the addon (by C's names) is not this file's, or stands on one side only. */
export function assertLayout(native: Readonly<Record<string, number>>): void {
  for (const name of new Set([...NUMBERS.keys(), ...Object.keys(native)])) {
    if (native[name] === NUMBERS.get(name)) continue;
    throw new Error(
      `native addon: ${name} is ${native[name]}, expected ${NUMBERS.get(name)}; rebuild it with "npm run build"`,
    );
  }
}
