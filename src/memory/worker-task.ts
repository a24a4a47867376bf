/** What the control thread hands to a worker (one piscina task that runs until it is told to stop). */
import type { Mac, Prefix, Words } from '../shared/address.ts';
import { CAPTURE_BYTES } from './capture.ts';
import { SAMPLES_BYTES } from './drop-samples.ts';
import { PEER_COUNTERS_BYTES } from './peer-counters.ts';

/** Words of a worker's control block (Int32Array over shared memory). */
export const WORD = {
  /** COMMAND, written by the control thread, followed by a wake() of the eventfd */
  command: 0,
  /** grows by one each breath; at least ten times a second */
  heartbeat: 1,
  /** table generation the worker uses */
  seenGeneration: 2,
  /** CLOCK_MONOTONIC in ms, written by each wait */
  clockMs: 3,
  /** the ns within that ms */
  clockNs: 4,
  /** threadId of the thread that has taken the task; 0 while none has */
  thread: 5,
  /** what the thread gave up: 0 not yet, 1 done, -errno refused */
  capabilities: 6,
  calls: 7,
} as const;
export const CONTROL_WORDS = 16;

/** run: go on · stop: return from the task · faults for tests: fail: throw · hang: sleep for ever */
export const COMMAND = { run: 0, stop: 1, fail: 2, hang: 3 } as const;

/** What a worker leaves for those who look; kept over its restarts. */
export interface ObservationMemory {
  /** memory/peer-counters.ts */
  peerCounters: SharedArrayBuffer;
  /** memory/drop-samples.ts */
  dropSamples: SharedArrayBuffer;
  /** memory/capture.ts */
  capture: SharedArrayBuffer;
}

/** For one worker. Pages that nobody touches cost nothing. */
export function createObservationMemory(): ObservationMemory {
  return {
    peerCounters: new SharedArrayBuffer(PEER_COUNTERS_BYTES),
    dropSamples: new SharedArrayBuffer(SAMPLES_BYTES),
    capture: new SharedArrayBuffer(CAPTURE_BYTES),
  };
}

export type SourceCheck = 'lease' | 'vtep' | 'off';

/** A TUN queue and the sockets that carry it. Descriptors belong to the control thread. */
export interface Queue {
  tunFd: number;
  udpFd: number;
  /** descriptors of the sending sockets; for flannel-UDP the receiving one itself */
  sendFds: number[];
  /** their ports: what super-packets of our own carry as source */
  sendPorts: number[];
}

/** One address family of the overlay. */
export interface LinkTask extends Queue {
  family: 4 | 6;
  /** what bulk flows have to themselves, so that nobody else waits behind them; with FEATURE.bulkQueue */
  bulk?: Queue | undefined;
  /** raw socket on which ICMP errors leave; -1 without permission for one */
  icmpFd: number;
  /** queue of the helper TAP and its MAC; -1 without tunnel GSO */
  tapFd: number;
  tapMac: Mac;
  /** FEATURE bits in force */
  features: number;
  /** MTU of the TUN device in bytes */
  tunnelMtu: number;
  /** MTU that pods were told (smaller than tunnelMtu in a dual-stack cluster): super-packets are cut to it */
  podMtu: number;
  /**
   * where every address is a pod's (the whole overlay, or less where it holds the nodes themselves), this node's lease, and the device's
   * own address
   */
  network: Prefix;
  ownSubnet: Prefix;
  deviceAddress: Words;
  /** this node's address in the underlay */
  underlayAddress: Words;
  /** VTEP MAC; all zero for flannel-UDP */
  ownMac: Mac;
}

/** What the workers put in front of packets; `port` is where they send to and what they receive on. */
export type EncapTask = VxlanTask | FlannelUdpTask;

export interface VxlanTask {
  kind: 'vxlan';
  vni: number;
  port: number;
  /** group policy ids are let through, unread */
  gbp?: boolean;
}

export interface FlannelUdpTask {
  kind: 'udp';
  port: number;
}

export interface WorkerTask<E = EncapTask> {
  index: number;
  /** CPU to pin the thread to, -1 = any */
  cpu: number;
  /** eventfd that ends a sleep */
  wakeFd: number;
  /** CONTROL_WORDS int32 */
  control: SharedArrayBuffer;
  /** COUNTER_BLOCK doubles; kept over restarts of the worker */
  counters: SharedArrayBuffer;
  /** TABLE_BYTES */
  table: SharedArrayBuffer;
  /** LOCAL_ADDRESSES_BYTES */
  localAddresses: SharedArrayBuffer;
  observation: ObservationMemory;
  encap: E;
  sourceCheck: SourceCheck;
  links: LinkTask[];
}

/** What the task resolves with when it stops. */
export interface WorkerResult {
  breaths: number;
}
