/** The books: what workers and shortcuts carried adds up, while they run and after they ended. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asNew, type Peer } from '../../../src/cluster/peers.ts';
import { PeerLedger, type PeerTotals } from '../../../src/control/observe/peer-ledger.ts';
import { Books } from '../../../src/control/plane/books.ts';
import { COUNTER, COUNTER_BLOCK, sumBlocks, type Totals } from '../../../src/memory/counters.ts';
import {
  PEER_COUNTER,
  PEER_COUNTERS,
  PEER_COUNTERS_BYTES,
} from '../../../src/memory/peer-counters.ts';
import { NO_MAC } from '../../../src/shared/address.ts';
import { prefix, words } from '../../support/rig.ts';
import { ToyShortcut } from '../../support/toy-shortcut.ts';

const peer = (n: number): Peer => ({
  key: `node-${n}`,
  family: 4,
  subnet: prefix(`10.244.${n}.0/24`),
  address: words(`192.0.2.${n}`),
  port: 8472,
  mac: NO_MAC,
});

function setUp() {
  const memory = new SharedArrayBuffer(PEER_COUNTERS_BYTES);
  const ledger = new PeerLedger([memory]);
  const block = new Float64Array(COUNTER_BLOCK);
  const books = new Books(1, ledger);
  books.openWorkers(() => [block]);
  return { ledger, books, block, perPeer: new Float64Array(memory) };
}

const sent = (totals: Totals): number => totals.counters.sentPackets;
const sentTo = (ledger: PeerLedger, n: number): number => ledger.totalsOf(peer(n)).sentPackets;

test('a shortcut without numbers of its own leaves the totals to the workers', () => {
  const { books, block } = setUp();
  books.openShortcut(new ToyShortcut({ isCountedByWorkers: true }));
  block[COUNTER.sentPackets] = 5;
  assert.equal(sent(books.totals()), 5);
});

test('what goes past the workers is added, in total and for its peer, and stays when the shortcut ends', async () => {
  const { ledger, books, block, perPeer } = setUp();
  const shortcut = new ToyShortcut();
  books.openShortcut(shortcut);
  const peers = [peer(2), peer(3)];
  const changes = ledger.assign(asNew(peers));
  const slots = changes.map(({ slot }) => slot);
  await shortcut.table.publish(changes);
  block[COUNTER.sentPackets] = 5;
  perPeer[(slots[1] as number) * PEER_COUNTERS + PEER_COUNTER.sentPackets] = 5;
  shortcut.carry(slots[1] as number, 7);
  const check = (total: number, of3: number): void => {
    assert.equal(sent(books.totals()), total);
    assert.equal(sentTo(ledger, 3), of3);
    assert.equal(sentTo(ledger, 2), 0);
  };
  check(12, 12);
  books.closeShortcut(shortcut);
  check(12, 12);
  shortcut.carry(slots[1] as number, 100);
  check(12, 12);
  const second = new ToyShortcut();
  books.openShortcut(second);
  await second.table.publish(changes);
  second.carry(slots[1] as number, 1);
  check(13, 13);
});

test('workers that end leave their numbers; new ones begin at nothing', () => {
  const { books, block } = setUp();
  block[COUNTER.outPackets] = 9;
  books.closeWorkers();
  const next = new Float64Array(COUNTER_BLOCK);
  books.openWorkers(() => [next]);
  next[COUNTER.outPackets] = 1;
  assert.equal(books.totals().counters.outPackets, 10);
  assert.equal(books.workerTotals()[0]?.counters.outPackets, 10);
});

test('all of a shortcut is added, name by name', () => {
  const { books, block } = setUp();
  const shortcut = new ToyShortcut();
  books.openShortcut(shortcut);
  const full = sumBlocks([new Float64Array(COUNTER_BLOCK).fill(1)]);
  shortcut.setTotals(full);
  block.fill(1);
  assert.deepEqual(books.totals(), sumBlocks([new Float64Array(COUNTER_BLOCK).fill(2)]));
});

/** Used by the toy: what it says of a slot is of its owner only. */
test('the sample shortcut forgets a slot whose owner changes', async () => {
  const shortcut = new ToyShortcut();
  await shortcut.table.publish([{ id: '2', before: undefined, after: peer(2), slot: 4 }]);
  shortcut.carry(4, 3);
  assert.equal((shortcut.perPeer(4) as PeerTotals).sentPackets, 3);
  await shortcut.table.publish([{ id: '3', before: undefined, after: peer(3), slot: 4 }]);
  assert.equal(shortcut.perPeer(4).sentPackets, 0);
});
