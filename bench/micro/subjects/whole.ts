/** Whole breaths of a worker, without the kernel's part: everything that TypeScript does with a packet. */
import type { Peer } from '../../../src/cluster/peers.ts';
import { fillLocalAddresses } from '../../../src/control/plane/local-addresses.ts';
import { ENCAPSULATIONS } from '../../../src/dataplane/encap/encapsulations.ts';
import { slotAt } from '../../../src/dataplane/pool.ts';
import { createForwarder } from '../../../src/dataplane/worker.ts';
import type { EngineViews } from '../../../src/memory/addon.ts';
import { COUNTER, COUNTER_BLOCK } from '../../../src/memory/counters.ts';
import { FEATURES_ALL, LAYOUT, ROW } from '../../../src/memory/layout.ts';
import { LOCAL_ADDRESSES_BYTES } from '../../../src/memory/local-addresses.ts';
import {
  CONTROL_WORDS,
  createObservationMemory,
  type WorkerTask,
} from '../../../src/memory/worker-task.ts';
import { MAPPED_WORD } from '../../../src/shared/address.ts';
import { ETHERTYPE, VXLAN, VXLAN_ENCAP_BYTES, VXLAN_FLAGS } from '../../../src/wire/vxlan.ts';
import { buildPacket, pattern } from '../../../test/support/native/packets.ts';
import type { Case, Work } from '../case.ts';
import { hostOf, makePeers, makeTableMemory } from '../peers.ts';
import { pickPeers } from '../random.ts';
import { READY, stillAddon } from '../still-addon.ts';

const BATCHES = 64;
const PACKETS = LAYOUT.tunInRows;
const PEERS = [10, 50_000] as const;
const VNI = 1;
const PORT = 8472;
const OWN_MAC = { high: 0x0a000001, low: 0x0001 };
/** the node's own subnet and the bits of both prefixes, as hostOf numbers them: 10.200.0.0/24 of 10.0.0.0/8 */
const OWN_INDEX = 200 << 8;
const NETWORK_BITS = 104;
const SUBNET_BITS = 120;

export function wholeCases(): Case[] {
  const opsPerCall = PACKETS * BATCHES;
  return [
    ...PEERS.map((peers) => ({
      name: `whole/TUN to underlay, VXLAN, ${peers} peers`,
      opsPerCall,
      open: () => openOut(peers),
    })),
    ...PEERS.map((peers) => ({
      name: `whole/underlay to TUN, VXLAN, ${peers} peers`,
      opsPerCall,
      open: () => openIn(peers, 1),
    })),
    {
      name: `whole/underlay to TUN, VXLAN, merged by ${PACKETS}`,
      opsPerCall,
      open: () => openIn(10, PACKETS),
    },
  ];
}

function openOut(count: number): Work {
  const peers = makePeers(count, 4);
  const picked = pickPeers(count, PACKETS, 'uniform');
  const rows = new Int32Array(PACKETS * LAYOUT.rowInts);
  // The worker moves a row's begin to its header, so every batch gets its rows anew.
  const { addon, views } = stillAddon(READY.tun, ({ tunIn }) => {
    tunIn.set(rows);
    return PACKETS;
  });
  const task = makeTask(peers);
  const { breath } = createForwarder(addon, task, ENCAPSULATIONS);
  picked.forEach((peer, i) => {
    const bytes = packetBetween(OWN_INDEX, peer);
    views().pool.set(bytes, slotAt(i));
    rows[i * LAYOUT.rowInts + ROW.offset] = slotAt(i);
    rows[i * LAYOUT.rowInts + ROW.length] = bytes.length;
  });
  return workOf(() => breath.take(), task, COUNTER.sentPackets);
}

/** `merged` datagrams of one peer in each message. */
function openIn(count: number, merged: number): Work {
  const peers = makePeers(count, 4);
  const { addon, views } = stillAddon(READY.udp, () => PACKETS / merged);
  const task = makeTask(peers);
  const { breath } = createForwarder(addon, task, ENCAPSULATIONS);
  pickPeers(count, PACKETS / merged, 'uniform').forEach((peer, i) => {
    const row = i * LAYOUT.rowInts;
    layMessage(views(), i, packetBetween(peer, OWN_INDEX), merged);
    views().udpIn.set(peers[peer]?.address ?? [], row + ROW.address);
  });
  return workOf(() => breath.take(), task, COUNTER.deliveredPackets);
}

function layMessage(
  { pool, udpIn }: EngineViews,
  index: number,
  packet: Uint8Array,
  count: number,
): void {
  const stride = VXLAN_ENCAP_BYTES + packet.length;
  const at = slotAt(LAYOUT.tunInRows + index);
  const view = new DataView(pool.buffer);
  for (let i = 0; i < count; i++) {
    writeFrame(view, at + i * stride);
    pool.set(packet, at + i * stride + VXLAN_ENCAP_BYTES);
  }
  const row = index * LAYOUT.rowInts;
  udpIn[row + ROW.offset] = at;
  udpIn[row + ROW.length] = stride * count;
  udpIn[row + ROW.gsoSize] = count > 1 ? stride : 0;
  udpIn[row + ROW.port] = PORT;
}

function writeFrame(view: DataView, at: number): void {
  view.setInt32(at + VXLAN.flags, VXLAN_FLAGS);
  view.setInt32(at + VXLAN.vniAndReserved, VNI << 8);
  view.setInt32(at + VXLAN.destinationMac, OWN_MAC.high);
  view.setUint16(at + VXLAN.destinationMac + 4, OWN_MAC.low);
  view.setInt32(at + VXLAN.sourceMac, 0x0a000002);
  view.setUint16(at + VXLAN.etherType, ETHERTYPE.ipv4);
}

function packetBetween(from: number, to: number): Uint8Array {
  const { bytes } = buildPacket({ version: 4, protocol: 'udp', payload: pattern(64) });
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setInt32(12, hostOf(from, 4, 7)[3]);
  view.setInt32(16, hostOf(to, 4, 9)[3]);
  return bytes;
}

function workOf(breath: () => void, task: WorkerTask, counter: number): Work {
  const counters = new Float64Array(task.counters);
  const run = (): number => {
    const before = counters[counter] as number;
    for (let batch = 0; batch < BATCHES; batch++) breath();
    return (counters[counter] as number) - before;
  };
  return { run, expected: PACKETS * BATCHES };
}

/** As many as a host with two interfaces, Docker and both families of the overlay has. */
function localAddressMemory(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(LOCAL_ADDRESSES_BYTES);
  const addresses = Array.from({ length: 8 }, (_, i) => hostOf(OWN_INDEX, 4, 100 + i));
  fillLocalAddresses(new Int32Array(memory), addresses);
  return memory;
}

function makeTask(peers: readonly Peer[]): WorkerTask {
  return {
    index: 0,
    cpu: -1,
    wakeFd: -1,
    control: new SharedArrayBuffer(CONTROL_WORDS * 4),
    counters: new SharedArrayBuffer(COUNTER_BLOCK * 8),
    table: makeTableMemory(peers),
    localAddresses: localAddressMemory(),
    observation: createObservationMemory(),
    encap: { kind: 'vxlan', vni: VNI, port: PORT },
    sourceCheck: 'lease',
    links: [
      {
        family: 4,
        tunFd: -1,
        udpFd: -1,
        sendFds: [-1, -1, -1, -1],
        sendPorts: [1, 2, 3, 4],
        icmpFd: -1,
        tapFd: -1,
        tapMac: { high: 0, low: 0 },
        features: FEATURES_ALL,
        tunnelMtu: 1450,
        podMtu: 1450,
        network: { words: [0, 0, MAPPED_WORD, 10 << 24], bits: NETWORK_BITS },
        ownSubnet: { words: hostOf(OWN_INDEX, 4, 0), bits: SUBNET_BITS },
        deviceAddress: hostOf(OWN_INDEX, 4, 0),
        underlayAddress: [0, 0, MAPPED_WORD, (172 << 24) | 1],
        ownMac: OWN_MAC,
      },
    ],
  };
}
