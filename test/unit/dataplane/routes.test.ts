/** The published route table against a linear list. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asNew, type Peer, peerId } from '../../../src/cluster/peers.ts';
import { Publication } from '../../../src/control/plane/publication.ts';
import { fillHalf, SharedTable } from '../../../src/control/plane/shared-table.ts';
import { TableHalf } from '../../../src/control/plane/table-half.ts';
import { RouteTable } from '../../../src/dataplane/routes/table.ts';
import { HALF, halfAt, TABLE_BYTES, TABLE_GENERATION } from '../../../src/memory/table.ts';
import {
  maskWords,
  type Prefix,
  prefixContains,
  sameWords,
  type Words,
} from '../../../src/shared/address.ts';
import { changesBetween } from '../../support/peers-of.ts';

function peer(words: Words, bits: number, index: number): Peer {
  const family = words[2] === 0xffff && words[0] === 0 && words[1] === 0 ? 4 : 6;
  return {
    key: `${index}`,
    family,
    subnet: { words: maskWords(words, bits), bits },
    address: [0, 0, 0xffff, (index + 1) | 0],
    port: 8472,
    mac: { high: index, low: index & 0xffff },
  };
}

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
// Few distinct values, so that prefixes nest and look-ups hit.
const narrow = fc.integer({ min: 0, max: 7 }).map((n) => (10 << 24) | (n << 13));
const subnet4 = fc.tuple(narrow, fc.integer({ min: 106, max: 124 })).map(([w, bits]) => ({
  words: [0, 0, 0xffff, w] as Words,
  bits,
}));
const subnet6 = fc.tuple(narrow, word, fc.integer({ min: 30, max: 96 })).map(([a, b, bits]) => ({
  words: [a, b, 1, 2] as Words,
  bits,
}));

function linear(peers: readonly Peer[], words: Words): number {
  let best = -1;
  peers.forEach((candidate, i) => {
    const isLonger = best < 0 || candidate.subnet.bits > (peers[best] as Peer).subnet.bits;
    if (isLonger && prefixContains(candidate.subnet, words)) best = i;
  });
  return best;
}

function uniquePeers(subnets: readonly Prefix[]): Peer[] {
  const peers: Peer[] = [];
  subnets.forEach(({ words, bits }, i) => {
    const next = peer(words, bits, i);
    const isNew = !peers.some(
      (p) => p.subnet.bits === bits && sameWords(p.subnet.words, next.subnet.words),
    );
    if (isNew) peers.push(next);
  });
  return peers;
}

test('look-ups equal the longest prefix of a linear list, IPv4 and IPv6, also after republication', () => {
  const memory = new SharedArrayBuffer(TABLE_BYTES);
  const words = new Int32Array(memory);
  const table = new RouteTable(memory);
  const subnets = fc.array(fc.oneof(subnet4, subnet6), { maxLength: 40 });
  const looked = fc.array(fc.oneof(narrow, word), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(subnets, looked, (list, addresses) => {
      const peers = uniquePeers(list);
      const next = Atomics.load(words, TABLE_GENERATION) + 1;
      fillHalf(words, halfAt(next), peers);
      Atomics.store(words, TABLE_GENERATION, next);
      table.refresh();
      for (const address of addresses) {
        assert.equal(table.lookup4(address), linear(peers, [0, 0, 0xffff, address]));
        assert.equal(table.lookup6(address, 5, 1, 2), linear(peers, [address, 5, 1, 2]));
      }
      for (const [i, { address }] of peers.entries()) {
        assert.equal(table.findUnderlay(...address), i);
      }
      assert.equal(table.findUnderlay(1, 2, 3, 4), -1);
    }),
    { numRuns: 300 },
  );
});

test('thousands of peers: each is found, its neighbours are not', () => {
  const memory = new SharedArrayBuffer(TABLE_BYTES);
  const words = new Int32Array(memory);
  const peers = Array.from({ length: 20_000 }, (_, i) =>
    peer([0, 0, 0xffff, (10 << 24) | (i << 9)], 120, i),
  );
  fillHalf(words, halfAt(0), peers);
  const table = new RouteTable(memory);
  for (let i = 0; i < peers.length; i++) {
    assert.equal(table.lookup4((10 << 24) | (i << 9) | 77), i);
    assert.equal(table.lookup4((10 << 24) | (i << 9) | 256), -1);
  }
});

/** Peers by subnet and by address, as workers find them; every place in use is counted. */
function contentOf(memory: SharedArrayBuffer, peers: readonly Peer[]): string[] {
  const table = new RouteTable(memory);
  return peers.map(({ subnet, address }) => {
    const found = table.lookup4(subnet.words[3]);
    const [a, b, c, d] = address;
    const isKnown = table.findUnderlay(a, b, c, d) >= 0;
    return `${found >= 0 ? `${table.macHigh(found)} ${table.slotOf(found)}` : 'none'} ${isKnown}`;
  });
}

test('random changes: both halves of the table are what the changes add up to, as if written at once', async () => {
  // Few of everything: subnets go from one node to another in one step, nodes get another MAC and keep the rest.
  const some = fc.record({
    owner: fc.integer({ min: 0, max: 6 }),
    subnet: fc.integer({ min: 0, max: 4 }),
    bits: fc.constantFrom(112, 118, 120, 124),
    address: fc.integer({ min: 0, max: 1 }),
    mac: fc.integer({ min: 0, max: 2 }),
  });
  const subnetOf = (n: number, bits: number): Prefix => {
    const words = maskWords([0, 0, 0xffff, (10 << 24) | (n << 16)], bits);
    return { words, bits };
  };
  const every = Array.from({ length: 5 }, (_, n) =>
    [112, 118, 120, 124].map((bits) => ({ ...peer(subnetOf(n, bits).words, bits, 0) })),
  ).flat();
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(some, { maxLength: 12 }), { minLength: 1, maxLength: 8 }),
      async (steps) => {
        const memory = new SharedArrayBuffer(TABLE_BYTES);
        const table = new SharedTable(memory, () => []);
        let before: Peer[] = [];
        for (const wanted of steps) {
          const taken = new Map<string, Peer>();
          for (const { owner, subnet, bits, address, mac } of wanted) {
            const next = peer(subnetOf(subnet, bits).words, bits, owner);
            const other = { high: mac, low: owner };
            const at: Words = [0, 0, 0xffff, address + 1];
            taken.set(`${subnet} ${bits}`, { ...next, address: at, mac: other });
          }
          const after = [...new Map([...taken.values()].map((each) => [each.key, each])).values()];
          const changes = changesBetween(before, after);
          await table.publish(changes.map((each) => ({ ...each, slot: Number(each.after?.key) })));
          before = after;
          const fresh = new SharedArrayBuffer(TABLE_BYTES);
          const atOnce = new SharedTable(fresh, () => []);
          const all = changesBetween([], after);
          await atOnce.publish(all.map((each) => ({ ...each, slot: Number(each.after?.key) })));
          const probes = [...every, ...after];
          assert.deepEqual(contentOf(memory, probes), contentOf(fresh, probes));
          const words = new Int32Array(memory);
          const half = halfAt(Atomics.load(words, TABLE_GENERATION));
          assert.equal(words[half + HALF.peerCount], after.length);
        }
      },
    ),
    { numRuns: 25 },
  );
});

test('a node with another MAC: found in both halves, at the places that it had', async () => {
  const memory = new SharedArrayBuffer(TABLE_BYTES);
  const words = new Int32Array(memory);
  const table = new SharedTable(memory, () => []);
  const peers = [1, 2, 3].map((n) => peer([0, 0, 0xffff, (10 << 24) | (n << 8)], 120, n));
  const [, before] = peers as [Peer, Peer, Peer];
  const after = { ...before, port: 4789, mac: { high: 77, low: 7 } };
  const place = (): number => new RouteTable(memory).lookup4(before.subnet.words[3]);
  await table.publish(asNew(peers).map((each, slot) => ({ ...each, slot })));
  const first = place();
  await table.publish([{ id: peerId(after), before, after, slot: 9 }]);
  for (let half = 0; half < 2; half++) {
    const reader = new RouteTable(memory);
    assert.deepEqual([place(), reader.macHigh(first), reader.slotOf(first)], [first, 77, 9]);
    assert.equal(words[halfAt(Atomics.load(words, TABLE_GENERATION)) + HALF.peerCount], 3);
    await table.publish([]);
  }
});

test('a subnet that is in the table already, or not, is refused: the table stays what it was', async () => {
  const memory = new SharedArrayBuffer(TABLE_BYTES);
  const half = new TableHalf(new Int32Array(memory), halfAt(0));
  const one = peer([0, 0, 0xffff, 10 << 24], 120, 1);
  assert.throws(() => half.rewrite(one, 1), RangeError);
  half.add(one, 1);
  assert.throws(() => half.add({ ...one, key: 'another' }, 2), RangeError);
  half.remove(one);
  assert.throws(() => half.remove(one), RangeError);
  assert.equal(half.count, 0);
});

test('a publication waits until workers have left the half that it overwrites', async () => {
  const memory = new SharedArrayBuffer(TABLE_BYTES);
  let seen = 0;
  const table = new SharedTable(memory, () => [seen]);
  const publisher = new Publication(table, [], () => []);
  assert.equal(await publisher.publish([]), 1);
  let isDone = false;
  const second = publisher.publish([]).then(() => {
    isDone = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isDone, false);
  seen = 1;
  await second;
  assert.equal(Atomics.load(new Int32Array(memory), TABLE_GENERATION), 2);
});
