/**
 * The native boundary: synchronous functions but one (lookAtFiles), no policy, one callback (watch) that says no more than "look". Hot
 * calls (receive, send, wait) take and return small integers; a negative return is -errno. See native/README.md for what each call moves.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { EXIT, messageOf, WeftError } from '../shared/errors.ts';
import { projectRoot } from '../shared/root.ts';
import { assertLayout } from './layout.ts';

/** What {@link Addon.createEngine} keeps pointers into; the caller keeps these views alive as long as the engine. */
export interface EngineViews {
  /** poolSlots × slotStride bytes */
  pool: Uint8Array;
  /** tunInRows, udpInRows and tunOutRows × rowInts */
  tunIn: Int32Array;
  udpIn: Int32Array;
  tunOut: Int32Array;
  /** statCount doubles */
  stats: Float64Array;
  /** two words: CLOCK_MONOTONIC in ms (wraps) and the ns within, written by each wait */
  clock: Int32Array;
  /** eventfd of this worker, or -1 */
  wakeFd: number;
}

export interface LinkPorts {
  family: 4 | 6;
  tunFd: number;
  udpFd: number;
  /** helper TAP for super-packets that leave unsegmented, or -1 */
  tapFd: number;
  sendFds: Int32Array;
  /** FEATURE bits */
  features: number;
}

export interface UdpOptions {
  family: 4 | 6;
  /** 4 or 16 bytes, network order */
  address: Uint8Array;
  /** 0 = ephemeral */
  port: number;
  reusePort: boolean;
  gro: boolean;
  /** false: outer DF clear, as kernel VXLAN */
  dontFragment: boolean;
  bufferBytes: number;
}

export interface EchoRequest {
  /** 4 or 16 bytes, network order */
  address: Uint8Array;
  identifier: number;
  sequence: number;
  /** echoTokenBytes to echoPayloadMax */
  payloadBytes: number;
}

export interface Spawned {
  pid: number;
  /** descriptors; the caller closes them */
  stdin: number;
  stdout: number;
  stderr: number;
}

export interface Ended {
  /** 0 when a signal ended it */
  code: number;
  /** number of the signal, or 0 */
  signal: number;
}

/** What a file was when it was looked at. */
export interface FileLook {
  /** negative, as Node's: why nothing could be seen of it (ENOENT: there is none); then there is nothing else */
  errno?: number;
  /** of its number, size and times: another one whenever the file was replaced or written */
  stamp?: string;
  modifiedMs?: number;
  /** undefined: not asked for, too long, or no regular file */
  text?: string;
}

/** Descriptors of the fast path; close each. */
export interface FastPathFds {
  config: number;
  peers: number;
  counts: number;
  /** programs: egress of the overlay's device, ingress of the underlay's, ingress of the merger's far end */
  out: number;
  in: number;
  merged: number;
}

export interface Addon {
  /** Every number of native/layout.h by its name there; loadAddon has compared them. */
  layout: Readonly<Record<string, number>>;
  /** Opens one TUN queue. Throws an Error with `code` (EPERM, ENOENT, EBUSY, …) and `syscall`. */
  openTun(name: string, wantedFeatures: number): { fd: number; features: number };
  /** Opens one bound UDP socket. Throws like openTun. */
  openUdp(options: UdpOptions): { fd: number; port: number; gro: boolean };
  /** Takes over an open queue of this device as openTun would have opened it. Throws EINVAL when it is another's, EBADFD without device. */
  adoptTun(fd: number, name: string, wantedFeatures: number): { fd: number; features: number };
  /** Takes over a bound socket and sets its options as openUdp would have. Throws EINVAL when it is bound or made otherwise. */
  adoptUdp(fd: number, options: UdpOptions): { fd: number; port: number; gro: boolean };
  /** The device of an open TUN queue, '' for any other descriptor. */
  tunDevice(fd: number): string;
  /** Whether the device outlives its last queue. */
  persistTun(fd: number, on: boolean): void;
  /** Room for datagrams that wait in a socket. */
  receiveBuffer(fd: number, bytes: number): void;
  /**
   * Of the sockets that share this one's address and port, in the order in which they were bound: even source ports go to the first
   * `workers` of them, odd ones to as many behind those; to number (port / 2) modulo `workers` of either. Where such a socket is missing,
   * to one by a hash, as without. It holds for as long as one of them is open. Throws where the kernel has no such rule (before Linux 4.5).
   */
  spreadByPort(fd: number, family: 4 | 6, workers: number): void;
  /** Takes that back. */
  spreadByHash(fd: number): void;
  /** Sets what /proc/sys/net/ipv4/conf/<device> shows; `setting` is one of IPV4_DEVCONF_* (linux/ip.h). 0 or -errno (ENODEV, EPERM). */
  setInet(device: string, setting: number, value: number): number;
  /** Whether a device has an offload switched on, by the kernel's name for it: 1, 0, or -errno (ENODEV). */
  hasFeature(device: string, feature: string): number;
  /** Switches an offload of a device by its ETHTOOL_S* command (linux/ethtool.h). 0 or -errno. */
  setOffload(device: string, command: number, on: boolean): number;
  /** How many IPsec policies the host has, or -errno: EPROTONOSUPPORT where its kernel has no IPsec, which starts modprobe each time. */
  ipsecPolicies(): number;
  /** Opens one queue of a TAP with tunnel GSO (Linux 6.17). Throws EINVAL where the kernel can't. */
  openTap(name: string): number;
  /** Watches for packets that leave through an interface marked by IPv4 identification or IPv6 flow label; close the fd. */
  openProbe(options: { family: 4 | 6; interfaceIndex: number; mark: number }): number;
  /** True once a marked packet has left. */
  probeSeen(fd: number): boolean;
  /** Opens an ICMP echo socket bound to an own address (4 or 16 bytes); `raw` is false for a ping socket. Throws like openTun. */
  openEcho(family: 4 | 6, address: Uint8Array): { fd: number; raw: boolean };
  /** Sends one request with DF set. CLOCK_MONOTONIC in ns when it left, or -errno (EMSGSIZE: larger than the device's MTU). */
  echoSend(fd: number, token: Uint8Array, request: EchoRequest): number;
  /** Rows (ECHO in layout.ts) of answers, and of ICMP errors about requests, that carry the token; never waits. Count or -errno. */
  echoReceive(fd: number, token: Uint8Array, rows: Float64Array): number;
  /** Hears of every change of links, addresses, routes and rules from now on, or of nftables. Throws like openTun. */
  openNetlink(firewall: boolean): number;
  /** Rows (NEWS in layout.ts) of what changed; never waits. Count or -errno. */
  netlinkReceive(fd: number, rows: Int32Array): number;
  /** Calls once when one of at most 4 descriptors is readable, and again after each watchAgain; keeps no process alive. A handle. */
  watch(fds: Int32Array, call: () => void): number;
  watchAgain(watch: number): void;
  unwatch(watch: number): void;
  /** Opens a raw socket for whole IP packets of our own. Throws EPERM without CAP_NET_RAW. */
  openIcmp(family: 4 | 6): number;
  /**
   * Starts a program without a copy of this process's memory: its path, argv and "NAME=value" of its environment. Its pid and our ends
   * of its pipes. Throws like openTun.
   */
  spawn(file: string, words: readonly string[], environment: readonly string[]): Spawned;
  /** How a program from spawn ended, once; undefined while it runs. Until then its pid is no other process's. */
  reap(pid: number): Ended | undefined;
  /**
   * Looks at files one after the other, on one of Node's file threads, and reads those of at most so many bytes (0: none). Links are not
   * followed, pipes and devices not read.
   */
  lookAtFiles(paths: readonly string[], textBytesMax: number): Promise<FileLook[]>;
  openWake(): number;
  wake(fd: number): void;
  close(fd: number): void;
  /** Handle of an engine owned by this thread. Throws RangeError when a view has the wrong size. */
  createEngine(views: EngineViews): number;
  /** Adds a link (TUN queue and sockets) to the engine and its epoll set; returns the link's index. */
  attachLink(engine: number, ports: LinkPorts): number;
  destroyEngine(engine: number): void;
  /** A receive of this link ends behind so many bytes; at first behind batchBytes, which is the most. */
  limitBatch(engine: number, link: number, bytes: number): void;
  /** Rows of tunIn filled, or -errno. */
  tunReceive(engine: number, link: number): number;
  /** Writes `count` rows of tunOut; returns the number of failed rows. */
  tunSend(engine: number, link: number, count: number): number;
  /** Rows of udpIn filled, or -errno. */
  udpReceive(engine: number, link: number): number;
  /** Sends `count` rows of tunIn; returns the number of failed rows. */
  udpSend(engine: number, link: number, count: number): number;
  /** Sends a whole IP packet that lies in the pool as the host's own; never waits. 0 or -errno. */
  icmpSend(engine: number, fd: number, offset: number, length: number): number;
  /** Ready bits: waitTun and waitUdp of each link, shifted by waitLinkShift·link; waitWake. 0 after timeoutMs. */
  wait(engine: number, timeoutMs: number): number;
  /** sd_notify, with a descriptor where given: true if there was a socket to send to. */
  notify(state: string, fd?: number): boolean;
  pin(cpu: number): void;
  /** RFC 1071 sum of bytes, folded, not complemented, as the number of a big-endian word. */
  checksum(bytes: Uint8Array, offset: number, length: number, seed: number): number;
  checksumName(): string;
  /** Forces an implementation; false where the CPU lacks it. */
  checksumSelect(name: string): boolean;
  /** Creates the maps and loads the programs of the fast path (native/fast-path). Throws EPERM without CAP_BPF and CAP_NET_ADMIN. */
  openFastPath(peersMax: number, countsMax: number): FastPathFds;
  /** Attaches one of its programs to a device by its number (Linux 6.6; else it throws EINVAL). A link: close it to detach. */
  attachFastPath(program: number, device: number, egress: boolean): number;
  /** Watches for VXLAN over IPv4 that leaves a device with TCP from this port in it; ask probeSeen, close the fd. */
  openFastProbe(device: number, sourcePort: number): number;
  /** Entries of its maps (layout: native/fast-path/maps.h). 0 or -errno. */
  setFastConfig(map: number, value: Uint8Array): number;
  setFastPeer(map: number, key: Uint8Array, value: Uint8Array): number;
  removeFastPeer(map: number, key: Uint8Array): number;
  /** Counts of a slot begin at 0 and end with it. */
  addFastCounts(map: number, slot: number): number;
  removeFastCounts(map: number, slot: number): number;
  /** Sums over CPUs into FAST_COUNT's places of fastCounts doubles. */
  readFastCounts(map: number, slot: number, totals: Float64Array): number;
  /**
   * What is given up for good; 0 or -errno (then nothing has changed). For the process: no core file and no ptrace; no io_uring, which
   * also sets no_new_privs for every thread.
   */
  hardenDump(): number;
  hardenRings(): number;
  /** The kernel's version of Landlock. */
  hardenFilesAbi(): number;
  /** A Landlock rule set that forbids these accesses everywhere: descriptor, close it. */
  hardenFilesCreate(access: number): number;
  /** Allows some of them at and below a path. */
  hardenFilesAllow(fd: number, path: string, access: number): number;
  /** For every thread that runs, and all that are started. The number of threads that could not be asked. */
  hardenFilesEnforce(fd: number): number;
  /** For the calling thread: no capabilities; no system calls but those that moving packets takes (EOPNOTSUPP before hardenRings). */
  hardenCapabilities(): number;
  hardenCalls(): number;
  /** Ends the process at once, whatever its threads do: Node's own exit waits for them. */
  exitNow(code: number): void;
  /** Tests only: a SEQPACKET socketpair; one end stands for a TUN queue. */
  openPair(): [number, number];
}

let loaded: Addon | undefined;

/** Loads native/build/weft.node, or the file that WEFT_ADDON names (the sanitizer build of the tests). */
export function loadAddon(): Addon {
  if (loaded) return loaded;
  const file = process.env['WEFT_ADDON'] ?? path.join(projectRoot(), 'native/build/weft.node');
  if (!existsSync(file)) {
    throw unusable(`${file} does not exist; build it with "npm run setup"`);
  }
  const addon = loadNative(file);
  assertLayout(addon.layout);
  loaded = addon;
  return addon;
}

/** A library of the system that it needs may be missing or too old. */
function loadNative(file: string): Addon {
  try {
    return createRequire(import.meta.url)(file) as Addon;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ERR_DLOPEN_FAILED') throw error;
    const advice =
      'it was built for another system; install the package for this one, or build it with "npm run setup"';
    throw unusable(`${messageOf(error)}; ${advice}`, error);
  }
}

function unusable(why: string, cause?: unknown): WeftError {
  return new WeftError('ERR_ADDON', EXIT.os, `native layer: ${why}`, cause);
}
