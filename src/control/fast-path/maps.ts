/** The fast path in the kernel: its maps written and read, its programs attached. Layout: native/fast-path/maps.h. Control thread only. */
import { getSystemErrorName } from 'node:util';
import type { Addon, FastPathFds } from '../../memory/addon.ts';
import {
  FAST_CONFIG,
  FAST_COUNT,
  FAST_FLAG,
  FAST_PEER,
  FAST_PEER_FLAG,
  LAYOUT,
} from '../../memory/layout.ts';
import { PEER_SLOTS } from '../../memory/peer-counters.ts';
import { type Mac, maskOfWord, type Prefix, prefixLength } from '../../shared/address.ts';
import { LOCAL_ADDRESSES_MAX, PEERS_MAX } from '../../shared/limits.ts';

/** Source ports of datagrams: the kernel's own range for what has no port of its own. */
const PORT_FIRST = 32_768;
const PORT_COUNT = 28_232;

export type FastPathAddon = Pick<
  Addon,
  | 'openFastPath'
  | 'attachFastPath'
  | 'setFastConfig'
  | 'setFastPeer'
  | 'removeFastPeer'
  | 'addFastCounts'
  | 'removeFastCounts'
  | 'readFastCounts'
  | 'close'
>;

/** What both programs go by; IPv4 addresses as signed words. */
export interface FastConfig {
  /** both ways, or nothing */
  isOn: boolean;
  local: number;
  ownSubnet: Prefix;
  vni: number;
  /** of the overlay's device, and its number */
  mtu: number;
  device: number;
  /** UDP port at which nodes listen */
  port: number;
  mac: Mac;
  /** number of the merger's near end, 0 = none */
  merger: number;
  /** TCP source port of the probe that is under way, 0 = none */
  probe: number;
}

export interface FastPeer {
  /** IPv4, as a signed word */
  address: number;
  mac: Mac;
  slot: number;
  /** number of the device towards it; 0 = the workers send to it */
  egress: number;
  /** what comes from there comes singly: the merger has it first */
  isMerged: boolean;
  /** besides, the probe that is under way may leave there */
  isProbed: boolean;
}

/** Packets and bytes of inner packets; a super-packet counts once. */
export type FastCounts = Record<keyof typeof FAST_COUNT, number>;

const NO_COUNTS: FastCounts = {
  sentPackets: 0,
  sentBytes: 0,
  receivedPackets: 0,
  receivedBytes: 0,
  heardNs: 0,
  lost: 0,
};

export class FastMaps {
  private readonly addon: FastPathAddon;
  private readonly fds: FastPathFds;
  private readonly totals = new Float64Array(LAYOUT.fastCounts);

  /** Throws what the kernel says when it can't. */
  constructor(addon: FastPathAddon) {
    this.addon = addon;
    // The sum of all peers has an entry too.
    this.fds = addon.openFastPath(PEERS_MAX + LOCAL_ADDRESSES_MAX, PEER_SLOTS + 1);
  }

  /** A link: close it to detach. Throws EINVAL before Linux 6.6. */
  attach(program: 'out' | 'in' | 'merged', device: number): number {
    return this.addon.attachFastPath(this.fds[program], device, program === 'out');
  }

  configure(config: FastConfig): void {
    const value = Buffer.alloc(LAYOUT.fastConfigBytes);
    value.writeUInt32LE(config.isOn ? FAST_FLAG.out | FAST_FLAG.in : 0, FAST_CONFIG.flags);
    value.writeInt32BE(config.local, FAST_CONFIG.local);
    value.writeInt32BE(config.ownSubnet.words[3], FAST_CONFIG.subnet);
    value.writeInt32BE(maskOfWord(config.ownSubnet.bits, 3), FAST_CONFIG.mask);
    value.writeInt32BE(config.vni << 8, FAST_CONFIG.vni);
    value.writeUInt32LE(config.mtu, FAST_CONFIG.mtu);
    value.writeUInt32LE(config.device, FAST_CONFIG.device);
    value.writeUInt32LE(config.probe, FAST_CONFIG.probe);
    value.writeUInt16BE(config.port, FAST_CONFIG.port);
    value.writeUInt16LE(PORT_FIRST, FAST_CONFIG.portFirst);
    value.writeUInt16LE(PORT_COUNT, FAST_CONFIG.portCount);
    writeMac(value, FAST_CONFIG.mac, config.mac);
    value.writeUInt32LE(config.merger, FAST_CONFIG.merger);
    must('config', this.addon.setFastConfig(this.fds.config, value));
  }

  setPeer(subnet: Prefix, peer: FastPeer): void {
    const value = Buffer.alloc(LAYOUT.fastPeerBytes);
    value.writeInt32BE(peer.address, FAST_PEER.address);
    value.writeUInt32LE(peer.egress, FAST_PEER.egress);
    value.writeUInt32LE(flagsOf(peer), FAST_PEER.flags);
    value.writeUInt32LE(peer.slot, FAST_PEER.slot);
    writeMac(value, FAST_PEER.mac, peer.mac);
    must('peer', this.addon.setFastPeer(this.fds.peers, keyOf(subnet), value));
  }

  /** What comes from there or goes there is for the workers, though a peer's subnet may hold it. */
  setGuard(prefix: Prefix): void {
    const value = Buffer.alloc(LAYOUT.fastPeerBytes);
    must('guard', this.addon.setFastPeer(this.fds.peers, keyOf(prefix), value));
  }

  /** The entry of a peer or a guard. */
  remove(prefix: Prefix): void {
    must('peer', this.addon.removeFastPeer(this.fds.peers, keyOf(prefix)));
  }

  addCounts(slot: number): void {
    must('counts', this.addon.addFastCounts(this.fds.counts, slot));
  }

  removeCounts(slot: number): void {
    must('counts', this.addon.removeFastCounts(this.fds.counts, slot));
  }

  /** Nothing for a slot without counts. */
  counts(slot: number = LAYOUT.fastCountAll): FastCounts {
    const { totals } = this;
    if (this.addon.readFastCounts(this.fds.counts, slot, totals) < 0) return NO_COUNTS;
    const names = Object.keys(FAST_COUNT) as (keyof FastCounts)[];
    return Object.fromEntries(names.map((name) => [name, totals[FAST_COUNT[name]]])) as FastCounts;
  }

  close(): void {
    for (const fd of Object.values(this.fds)) this.addon.close(fd);
  }
}

function flagsOf({ egress, isProbed, isMerged }: FastPeer): number {
  if (egress === 0) return 0;
  const out = isProbed ? FAST_PEER_FLAG.probe : FAST_PEER_FLAG.out;
  return isMerged ? out | FAST_PEER_FLAG.merge : out;
}

function keyOf(prefix: Prefix): Buffer {
  const key = Buffer.alloc(LAYOUT.fastPeerKeyBytes);
  key.writeUInt32LE(prefixLength(prefix), 0);
  key.writeInt32BE(prefix.words[3], 4);
  return key;
}

function writeMac(value: Buffer, at: number, { high, low }: Mac): void {
  value.writeInt32BE(high, at);
  value.writeUInt16BE(low, at + 4);
}

function must(what: string, result: number): void {
  if (result < 0) throw new Error(`fast path: ${what} not written (${getSystemErrorName(result)})`);
}
