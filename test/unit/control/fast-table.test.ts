/** What the fast path's maps hold while peers, host addresses and ways change; the kernel's side is a map in memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Peer } from '../../../src/cluster/peers.ts';
import { FastMaps, type FastPathAddon } from '../../../src/control/fast-path/maps.ts';
import { FastTable, type Way } from '../../../src/control/fast-path/table.ts';
import { FAST_PEER, FAST_PEER_FLAG } from '../../../src/memory/layout.ts';
import { parseAddress, parseMac, parsePrefix, type Words } from '../../../src/shared/address.ts';

const by = (egress: number, isMerged = false): Way => ({ egress, isMerged });

const words = (text: string): Words => parseAddress(text) as Words;

/** Number i, in a /24 of its own. */
const peer = (i: number, more: Partial<Peer> = {}): Peer =>
  ({
    key: `k${i}`,
    family: 4,
    subnet: parsePrefix(`10.244.${i}.0/24`),
    address: words(`10.99.0.${i}`),
    mac: parseMac(`02:00:00:00:00:0${i}`),
    ...more,
  }) as Peer;

/** Keys as "address/bits"; what is in them by name. */
function kernel() {
  const peers = new Map<string, { address: string; egress: number; flags: number; slot: number }>();
  const counts = new Set<number>();
  const textOf = (bytes: Uint8Array, at: number): string =>
    [...bytes.subarray(at, at + 4)].join('.');
  const keyOf = (key: Uint8Array): string =>
    `${textOf(key, 4)}/${new DataView(key.buffer, key.byteOffset).getUint32(0, true)}`;
  const addon = {
    openFastPath: () => ({ config: 1, peers: 2, counts: 3, out: 4, in: 5 }),
    setFastPeer: (_map: number, key: Uint8Array, value: Uint8Array) => {
      const view = new DataView(value.buffer, value.byteOffset);
      peers.set(keyOf(key), {
        address: textOf(value, FAST_PEER.address),
        egress: view.getUint32(FAST_PEER.egress, true),
        flags: view.getUint32(FAST_PEER.flags, true),
        slot: view.getUint32(FAST_PEER.slot, true),
      });
      return 0;
    },
    removeFastPeer: (_map: number, key: Uint8Array) => {
      assert.ok(peers.delete(keyOf(key)), `${keyOf(key)} is there`);
      return 0;
    },
    addFastCounts: (_map: number, slot: number) => {
      assert.ok(!counts.has(slot), `counts ${slot} are not there`);
      counts.add(slot);
      return 0;
    },
    removeFastCounts: (_map: number, slot: number) => {
      assert.ok(counts.delete(slot), `counts ${slot} are there`);
      return 0;
    },
  } as unknown as FastPathAddon;
  return { peers, counts, table: new FastTable(new FastMaps(addon)) };
}

const change = (id: string, before: Peer | undefined, after: Peer | undefined, slot: number) => ({
  ...{ id, before, after, slot },
});

test('a peer that comes is reached by the workers until there is a way, and leaves nothing behind', async () => {
  const { peers, counts, table } = kernel();
  await table.publish([change('a', undefined, peer(1), 7)]);
  assert.deepEqual(peers.get('10.244.1.0/24'), {
    ...{ address: '10.99.0.1', egress: 0, flags: 0, slot: 7 },
  });
  table.take(() => by(3));
  const now = peers.get('10.244.1.0/24');
  assert.deepEqual([now?.egress, now?.flags], [3, FAST_PEER_FLAG.out]);
  await table.publish([change('a', peer(1), undefined, 7)]);
  assert.deepEqual([peers.size, counts.size], [0, 0]);
});

test('a peer whose packets come singly is sent to the merger, and no more once its device merges', async () => {
  const { peers, table } = kernel();
  await table.publish([change('a', undefined, peer(1), 7)]);
  table.take(() => by(3, true));
  assert.equal(peers.get('10.244.1.0/24')?.flags, FAST_PEER_FLAG.out | FAST_PEER_FLAG.merge);
  table.take(() => by(3));
  assert.equal(peers.get('10.244.1.0/24')?.flags, FAST_PEER_FLAG.out);
  table.take(() => by(0, true));
  assert.equal(peers.get('10.244.1.0/24')?.flags, 0);
});

test('one that comes later goes by the ways that are known', async () => {
  const { peers, table } = kernel();
  table.take(({ key }) => by(key === 'k2' ? 5 : 0));
  await table.publish([change('a', undefined, peer(1), 1), change('b', undefined, peer(2), 2)]);
  assert.equal(peers.get('10.244.1.0/24')?.egress, 0);
  assert.equal(peers.get('10.244.2.0/24')?.egress, 5);
});

test('a subnet that changes hands in one step is the new peer’s, whatever the order', async () => {
  const { peers, counts, table } = kernel();
  const [first, second] = [peer(1), peer(2)];
  await table.publish([change('a', undefined, first, 1), change('b', undefined, second, 2)]);
  const moved = { ...second, subnet: first.subnet };
  await table.publish([change('b', second, moved, 2), change('a', first, undefined, 1)]);
  assert.deepEqual([...peers.keys()], ['10.244.1.0/24']);
  assert.equal(peers.get('10.244.1.0/24')?.address, '10.99.0.2');
  assert.deepEqual([...counts], [2]);
});

test('IPv6 peers are the workers’', async () => {
  const { peers, counts, table } = kernel();
  await table.publish([change('a', undefined, peer(1, { family: 6 }), 1)]);
  await table.publish([change('a', peer(1, { family: 6 }), undefined, 1)]);
  assert.deepEqual([peers.size, counts.size], [0, 0]);
});

test('a probe lets itself out and nothing else; of a peer that is gone there is none', async () => {
  const { peers, table } = kernel();
  await table.publish([change('a', undefined, peer(1), 9)]);
  assert.equal(table.probe('a', by(4)), 9);
  const probed = peers.get('10.244.1.0/24');
  assert.deepEqual([probed?.egress, probed?.flags], [4, FAST_PEER_FLAG.probe]);
  table.take(() => by(4));
  assert.equal(peers.get('10.244.1.0/24')?.flags, FAST_PEER_FLAG.out);
  table.probe('a', by(4));
  assert.equal(peers.get('10.244.1.0/24')?.flags, FAST_PEER_FLAG.out, 'it need not stop');
  assert.equal(table.probe('b', by(4)), undefined);
});

test('addresses of this host are guarded inside a peer’s subnet, and no longer than they are there', async () => {
  const { peers, table } = kernel();
  table.take(() => by(3));
  await table.publish([change('a', undefined, peer(1), 1)]);
  table.guard([words('10.244.1.9'), words('fd00::1')]);
  assert.deepEqual(peers.get('10.244.1.9/32')?.egress, 0);
  assert.equal(peers.size, 2);
  table.guard([]);
  assert.deepEqual([...peers.keys()], ['10.244.1.0/24']);
});

test('a peer whose whole subnet is an address of this host is not reached, until that goes', async () => {
  const { peers, table } = kernel();
  table.take(() => by(3));
  const single = peer(1, { subnet: parsePrefix('10.244.1.9/32') as Peer['subnet'] });
  table.guard([words('10.244.1.9')]);
  await table.publish([change('a', undefined, single, 1)]);
  assert.equal(peers.get('10.244.1.9/32')?.egress, 0);
  table.guard([]);
  assert.equal(peers.get('10.244.1.9/32')?.egress, 3);
  await table.publish([change('a', single, undefined, 1)]);
  assert.equal(peers.size, 0);
});
