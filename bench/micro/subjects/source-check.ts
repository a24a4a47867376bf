/** What the table is asked for each datagram: is the sender a peer, and does the inner source lie in its lease? */
import type { Case, Work } from '../case.ts';
import { hostsOf, LOOKUPS, makePeers, makeTable, PEER_COUNTS } from '../peers.ts';
import { pickPeers } from '../random.ts';

/** One packet in this many comes from a peer that does not lease its inner source. */
const FOREIGN_EVERY = 64;

export function sourceCheckCases(): Case[] {
  return PEER_COUNTS.map((peers) => ({
    name: `source check/sender and lease, ${peers} peers`,
    opsPerCall: LOOKUPS,
    open: () => openSourceCheck(peers),
  }));
}

function openSourceCheck(count: number): Work {
  const peers = makePeers(count, 4);
  const table = makeTable(peers);
  const picked = pickPeers(count, LOOKUPS, 'uniform');
  const sources = hostsOf(picked, 4);
  const senders = new Int32Array(LOOKUPS * 4);
  picked.forEach((peer, i) => {
    const sender = i % FOREIGN_EVERY === 0 ? (peer + 1) % count : peer;
    senders.set(peers[sender]?.address ?? [], i * 4);
  });
  const run = (): number => {
    let accepted = 0;
    for (let i = 0; i < senders.length; i += 4) {
      const sender = table.findUnderlay(
        senders[i] as number,
        senders[i + 1] as number,
        senders[i + 2] as number,
        senders[i + 3] as number,
      );
      if (sender < 0) continue;
      const peer = table.lookup4(sources[i + 3] as number);
      if (peer >= 0 && table.isOneNode(peer, sender)) accepted++;
    }
    return accepted;
  };
  return { run, expected: LOOKUPS - LOOKUPS / FOREIGN_EVERY };
}
