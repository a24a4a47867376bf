/** Changes of leases, one after the other: in the end everything is as if all leases had come at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { overlaps } from '../../../src/cluster/lease/arithmetic.ts';
import { parseKey } from '../../../src/cluster/lease/key.ts';
import type { Lease } from '../../../src/cluster/lease/lease.ts';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';
import { PeerBook } from '../../../src/cluster/peer-book.ts';
import { type Peer, type PeerChange, peerId } from '../../../src/cluster/peers.ts';
import { prefixContains } from '../../../src/shared/address.ts';
import { PREFIX_LENGTHS_MAX } from '../../../src/shared/limits.ts';
import { words } from '../../support/rig.ts';

const config = parseNetworkConfig(
  JSON.stringify({
    Network: '10.3.0.0/16',
    ...{ EnableIPv6: true, IPv6Network: 'fd00:3::/32', IPv6SubnetLen: 64 },
    Backend: { Type: 'host-gw' },
  }),
);

interface Made {
  key: string;
  ip4: string;
  ip6: string;
  type: string;
}

function leaseOf({ key, ip4, ip6, type }: Made, revision = ''): Lease {
  const attributes = { backendType: type, publicIp4: words(ip4), publicIp6: words(ip6) };
  return { ...parseKey(key), key, isPermanent: false, revision, attributes };
}

const own = leaseOf({ key: '10.3.0.0-24', ip4: '192.0.2.1', ip6: 'fd01::1', type: 'host-gw' });

/** The table that a list of leases must make, found by comparing each with each. */
function plainPeers(leases: readonly Lease[]): Map<string, string> {
  const table = new Map<string, string>();
  for (const family of [4, 6] as const) {
    const claims = [...leases]
      .filter((lease) => lease.key !== own.key && !isTwin(lease))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .flatMap(({ key, subnet4, subnet6, attributes }) => {
        const subnet = family === 4 ? subnet4 : subnet6;
        const address = family === 4 ? attributes.publicIp4 : attributes.publicIp6;
        const isUsable = subnet && address && attributes.backendType === 'host-gw';
        return isUsable ? [{ key, subnet, address }] : [];
      });
    const ownSubnet = family === 4 ? own.subnet4 : own.subnet6;
    const granted: typeof claims = ownSubnet
      ? [{ key: '', subnet: ownSubnet, address: words('::') }]
      : [];
    for (const claim of claims)
      if (!granted.some(({ subnet }) => overlaps(subnet, claim.subnet))) granted.push(claim);
    for (const { key, address } of granted.filter((claim) => claim.key !== ''))
      if (!granted.some(({ subnet }) => prefixContains(subnet, address)))
        table.set(peerId({ family, key }), address.join());
  }
  return table;
}

function isTwin({ attributes }: Lease): boolean {
  return attributes.publicIp4?.join() === own.attributes.publicIp4?.join();
}

// Few subnets of many lengths, so that they clash; some nodes have their address in a subnet, or ours.
const key4 = fc
  .tuple(fc.integer({ min: 0, max: 7 }), fc.constantFrom(16, 21, 22, 23, 24, 25, 26))
  .map(([third, bits]) => {
    const network = bits < 24 ? third & (0xff << (24 - bits)) : third;
    return `10.3.${network & 255}.0-${bits}`;
  });
const key6 = fc
  .tuple(fc.integer({ min: 0, max: 3 }), fc.constantFrom('', 62, 63, 64, 65))
  .map(([n, bits]) => {
    const network = typeof bits === 'number' && bits < 64 ? n & ~(2 ** (64 - bits) - 1) : n;
    return bits === '' ? '' : `&fd00:3:0:${network}::-${bits}`;
  });
const made: fc.Arbitrary<Made> = fc.record({
  key: fc.tuple(key4, key6).map((parts) => parts.join('')),
  ip4: fc.oneof(
    { weight: 5, arbitrary: fc.integer({ min: 2, max: 9 }).map((n) => `192.0.2.${n}`) },
    fc.constantFrom('192.0.2.1', '10.3.2.9', '10.3.0.7', '10.3.5.200'),
  ),
  ip6: fc.integer({ min: 2, max: 9 }).map((n) => `fd01::${n}`),
  type: fc.constantFrom('host-gw', 'host-gw', 'host-gw', 'vxlan'),
});
const step = fc.record({
  puts: fc.array(made, { maxLength: 4 }),
  removals: fc.array(fc.nat(), { maxLength: 3 }),
});

/** What the changes make of a table; each must begin where the last one ended. */
function applyTo(table: Map<string, Peer>, changes: readonly PeerChange[]): void {
  for (const { id, before, after } of changes) {
    assert.equal(table.get(id), before);
    if (after) table.set(id, after);
    else table.delete(id);
  }
}

const sorted = (list: readonly unknown[]): string[] =>
  list.map((each) => JSON.stringify(each)).sort();

test('random changes: peers, skipped leases and twins are those of a book that sees all leases at once', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const book = new PeerBook(own, config);
      const leases = new Map<string, Lease>([[own.key, own]]);
      const table = new Map<string, Peer>();
      for (const [n, { puts, removals }] of steps.entries()) {
        const changes = new Map<string, Lease | undefined>();
        for (const each of puts) changes.set(each.key, leaseOf(each, String(n)));
        for (const at of removals) {
          const key = [...leases.keys()][at % leases.size];
          if (key !== undefined && key !== own.key) changes.set(key, undefined);
        }
        for (const [key, lease] of changes) {
          if (lease) leases.set(key, lease);
          else leases.delete(key);
        }
        applyTo(table, book.update(changes));
      }
      const all = [...leases.values()];
      const addresses = new Map([...table].map(([id, { address }]) => [id, address.join()]));
      assert.deepEqual(sorted([...addresses]), sorted([...plainPeers(all)]));
      const fresh = new PeerBook(own, config);
      const atOnce = new Map<string, Peer>();
      applyTo(atOnce, fresh.replace(all));
      assert.deepEqual(sorted([...table]), sorted([...atOnce]));
      assert.deepEqual(sorted(book.skipped), sorted(fresh.skipped));
      assert.deepEqual(sorted(book.twins), sorted(fresh.twins));
      assert.deepEqual(fresh.replace([...all].reverse()), [], 'the order of a list means nothing');
    }),
    { numRuns: 150 },
  );
});

test('a lease that says the same again changes nothing', () => {
  const book = new PeerBook(own, config);
  const node = { key: '10.3.2.0-24', ip4: '192.0.2.2', ip6: 'fd01::2', type: 'host-gw' };
  assert.equal(book.replace([leaseOf(node)]).length, 1);
  assert.deepEqual(book.update([[node.key, leaseOf(node, 'renewed')]]), []);
  const moved = { ...node, ip4: '192.0.2.22' };
  assert.equal(book.update([[node.key, leaseOf(moved)]]).length, 1);
});

test('our own address changes: a twin becomes a peer, and a peer a twin', () => {
  const book = new PeerBook(own, config);
  const node = (key: string, ip4: string): Lease =>
    leaseOf({ key, ip4, ip6: 'fd01::9', type: 'host-gw' });
  book.replace([own, node('10.3.2.0-24', '192.0.2.1'), node('10.3.3.0-24', '192.0.2.3')]);
  assert.deepEqual(book.twins, ['10.3.2.0-24']);
  book.setOwn({ ...own, attributes: { ...own.attributes, publicIp4: words('192.0.2.3') } });
  const changes = book.update([]);
  assert.deepEqual(book.twins, ['10.3.3.0-24']);
  assert.deepEqual(sorted(changes.map(({ id, after }) => [id, after !== undefined])), [
    '["4 10.3.2.0-24",true]',
    '["4 10.3.3.0-24",false]',
  ]);
});

/** `count` leases with an IPv6 subnet of this length, behind each other in the network. */
function leasesOfLength(bits: number, count: number, from: number): Lease[] {
  return Array.from({ length: count }, (_, i) => {
    const n = from + i;
    const key = `10.3.${n}.0-24&fd00:3:${n.toString(16)}::-${bits}`;
    return leaseOf({ key, ip4: `192.0.2.${n}`, ip6: `fd01::${n}`, type: 'host-gw' });
  });
}

test('33 leases of odd prefix lengths: the odd ones are skipped with the reason, the rest are peers', () => {
  const book = new PeerBook(own, config);
  const usual = leasesOfLength(64, 5, 2);
  const odd = Array.from({ length: PREFIX_LENGTHS_MAX + 1 }, (_, i) =>
    leasesOfLength(70 + i, 1, 10 + i),
  ).flat();
  const table = new Map<string, Peer>();
  applyTo(table, book.replace([...usual, ...odd]));
  const six = [...table.values()].filter(({ family }) => family === 6);
  assert.equal(new Set(six.map(({ subnet }) => subnet.bits)).size, PREFIX_LENGTHS_MAX);
  for (const { key } of usual) assert.ok(table.has(peerId({ family: 6, key })), key);
  assert.equal(book.skipped.length, 2);
  for (const { kind, why } of book.skipped) {
    assert.equal(kind, 'with an odd prefix length');
    assert.match(why, /\/10[12]/, 'those that are the least like the usual ones');
  }
  assert.equal([...table.values()].filter(({ family }) => family === 4).length, 5 + 33);
  const [first, second] = odd;
  applyTo(
    table,
    book.update(
      [first, second].flatMap((lease) => (lease ? [[lease.key, undefined] as const] : [])),
    ),
  );
  assert.deepEqual(book.skipped, [], 'there is room again');
  assert.equal([...table.values()].filter(({ family }) => family === 6).length, 5 + 31);
});

test('more peers than the table takes: those beyond it are skipped until there is room', () => {
  const book = new PeerBook(own, config, undefined, 3);
  const leases = leasesOfLength(64, 2, 2);
  const table = new Map<string, Peer>();
  applyTo(table, book.replace(leases));
  assert.equal(table.size, 3);
  assert.deepEqual(
    book.skipped.map(({ kind }) => kind),
    ['beyond the size of the table'],
  );
  const [, second] = leases;
  applyTo(table, book.update([[second?.key ?? '', undefined]]));
  assert.deepEqual([table.size, book.skipped.length], [2, 0]);
});
