/** VXLAN headers, written in front of and read from the packets of one batch. */
import { VxlanEncap } from '../../../src/dataplane/encap/vxlan.ts';
import { Pool, slotAt } from '../../../src/dataplane/pool.ts';
import { LAYOUT } from '../../../src/memory/layout.ts';
import { VXLAN } from '../../../src/wire/vxlan.ts';
import { buildPacket, pattern } from '../../../test/support/native/packets.ts';
import type { Case, Work } from '../case.ts';
import { hostOf, makePeers, makeTable } from '../peers.ts';
import { pickPeers } from '../random.ts';

const TASK = { kind: 'vxlan', vni: 1, port: 8472 } as const;
const PEERS = 1_000;
const PACKETS = LAYOUT.tunInRows;
const BATCHES = 64;
const OWN = { high: 0x0a000001, low: 0x0001 };
const THEIRS = { high: 0x0a000002, low: 0x0002 };
const NETWORK = { words: hostOf(0, 4, 0), bits: 104 };

export function encapsulationCases(): Case[] {
  const opsPerCall = PACKETS * BATCHES;
  return [
    { name: 'encapsulation/VXLAN push', opsPerCall, open: openPush },
    { name: 'encapsulation/VXLAN pull', opsPerCall, open: openPull },
  ];
}

function openPush(): Work {
  const pool = new Pool();
  const peers = makePeers(PEERS, 4);
  const table = makeTable(peers);
  const picked = pickPeers(PEERS, PACKETS, 'uniform');
  const encap = new VxlanEncap(TASK, { ownMac: OWN, network: NETWORK }, table);
  const written = slotAt(PACKETS - 1) - encap.headerBytes + VXLAN.destinationMac;
  const run = (): number => {
    let sum = 0;
    for (let batch = 0; batch < BATCHES; batch++) {
      for (let i = 0; i < PACKETS; i++) {
        encap.push(pool.view, slotAt(i), 4, picked[i] as number);
      }
      sum += pool.view.getInt32(written);
    }
    return sum;
  };
  const last = peers[picked[PACKETS - 1] as number]?.mac.high ?? 0;
  return { run, expected: last * BATCHES };
}

/** Frames that another node addressed to us, in the first slots of the pool. */
function openPull(): Work {
  const pool = new Pool();
  const table = makeTable([{ ...makePeers(1, 4)[0]!, mac: OWN }]);
  const sender = new VxlanEncap(TASK, { ownMac: THEIRS, network: NETWORK }, table);
  const encap = new VxlanEncap(TASK, { ownMac: OWN, network: NETWORK }, table);
  const { bytes } = buildPacket({ version: 4, protocol: 'udp', payload: pattern(64) });
  for (let i = 0; i < PACKETS; i++) {
    pool.bytes.set(bytes, slotAt(i));
    sender.push(pool.view, slotAt(i), 4, 0);
  }
  const length = encap.headerBytes + bytes.length;
  const run = (): number => {
    let accepted = 0;
    for (let batch = 0; batch < BATCHES; batch++) {
      for (let i = 0; i < PACKETS; i++) {
        if (encap.pull(pool.view, slotAt(i) - encap.headerBytes, length) === 0) accepted++;
      }
    }
    return accepted;
  };
  return { run, expected: PACKETS * BATCHES };
}
