/** Leases become peers, or are left out with a reason. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseKey } from '../../../src/cluster/lease/key.ts';
import type { LeaseAttributes } from '../../../src/cluster/lease/lease.ts';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';
import { attributes } from '../../support/leases.ts';
import { peersOf } from '../../support/peers-of.ts';

const config = parseNetworkConfig(
  '{"Network":"10.3.0.0/16","SubnetMin":"10.3.1.0","SubnetMax":"10.3.25.0","Backend":{"Type":"vxlan"}}',
);

test('peers: own lease, foreign types, bad MACs, foreign VNIs and clashes are left out with a reason', () => {
  const lease = (key: string, ip: string, more: Partial<LeaseAttributes> = {}) => ({
    ...parseKey(key),
    key,
    isPermanent: false,
    revision: '',
    attributes: { ...attributes(ip), ...more },
  });
  const own = lease('10.3.1.0-24', '192.0.2.1');
  const { peers, skipped, twins } = peersOf(
    [
      own,
      lease('10.3.20.0-24', '192.0.2.1'),
      lease('10.3.2.0-24', '192.0.2.2'),
      lease('10.3.3.0-24', '192.0.2.3', { backendType: 'host-gw' }),
      lease('10.3.4.0-24', '192.0.2.4', { backendData: { VNI: 9, VtepMAC: '02:00:00:00:00:05' } }),
      lease('10.3.5.0-24', '192.0.2.5', { backendData: 'junk' }),
      lease('10.3.2.128-25', '192.0.2.6'),
      lease('10.9.0.0-24', '192.0.2.7'),
      lease('10.3.8.0-24', '10.3.2.2'),
    ],
    own,
    config,
  );
  assert.deepEqual(
    peers.map((peer) => peer.key),
    ['10.3.2.0-24'],
  );
  assert.equal(skipped.length, 6);
  assert.deepEqual(twins, ['10.3.20.0-24'], 'who has our own address is told apart');
});

test('peers: Network may hold the nodes themselves; only an address in a leased subnet is a loop', () => {
  const site = parseNetworkConfig(
    '{"Network":"10.0.0.0/8","SubnetLen":20,"Backend":{"Type":"vxlan"}}',
  );
  const lease = (key: string, ip: string) => ({
    ...parseKey(key),
    key,
    isPermanent: false,
    revision: '',
    attributes: attributes(ip),
  });
  const own = lease('10.16.0.0-20', '10.1.0.1');
  const { peers, skipped } = peersOf(
    [
      own,
      lease('10.16.16.0-20', '10.1.0.2'),
      lease('10.16.32.0-20', '10.16.16.9'),
      lease('10.16.48.0-20', '10.16.3.3'),
      lease('10.16.64.0-20', '10.16.64.1'),
    ],
    own,
    site,
  );
  assert.deepEqual(
    peers.map((peer) => peer.key),
    ['10.16.16.0-20'],
  );
  assert.deepEqual(
    skipped.map(({ why }) => why.replace(/.*in the subnet of /, '')),
    ['10.16.16.0-20', "this node's own subnet", '10.16.64.0-20'],
  );
});
