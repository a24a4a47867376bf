/** Nodes that are played for bench:fleet, and how its result is printed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  FLEET_CONFIG,
  FLEET_MAX,
  fleetKey,
  fleetMac,
  fleetValue,
} from '../../../bench/fleet/node.ts';
import type { Outcome } from '../../../bench/fleet/situations.ts';
import { renderFleet } from '../../../bench/fleet/table.ts';
import { fitsConfig } from '../../../src/cluster/lease/allocate.ts';
import { parseKey } from '../../../src/cluster/lease/key.ts';
import { decodeValue } from '../../../src/cluster/lease/value.ts';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';

test('played nodes have keys and MACs of their own, which fit the network and leave room for real ones', () => {
  const config = parseNetworkConfig(JSON.stringify({ ...FLEET_CONFIG, SubnetMin: '10.128.0.0' }));
  const behind = parseNetworkConfig(JSON.stringify(FLEET_CONFIG));
  const keys = new Set<string>();
  const macs = new Set<string>();
  for (let i = 0; i < FLEET_MAX; i += 7) {
    const subnets = parseKey(fleetKey(i));
    assert.ok(subnets && fitsConfig(config, subnets) && !fitsConfig(behind, subnets), fleetKey(i));
    keys.add(fleetKey(i));
    macs.add(fleetMac(i, 0)).add(fleetMac(i, 1));
  }
  const nodes = Math.ceil(FLEET_MAX / 7);
  assert.deepEqual([keys.size, macs.size], [nodes, 2 * nodes]);
  assert.equal(decodeValue(fleetValue(5, 0))?.backendType, 'vxlan');
});

test('the table says of each situation what was done, how long it took and what it cost', () => {
  const cost = { daemonCpuSeconds: 2, etcdCpuSeconds: 3, daemonMemoryMb: 100 };
  const outcome: Outcome = {
    situation: 'all start at once',
    did: '10 leases',
    ...{ writingSeconds: 1, convergedSeconds: 0.25, lastedSeconds: 4, cost },
  };
  const text = renderFleet([outcome], { perEventSeconds: 1e-5, perListSeconds: 0.1, keys: 1000 });
  assert.match(text, /^all start at once: 10 leases\n {2}written in +1\.0 s\n/);
  assert.match(text, /in force after that +0\.25 s\n.* 2\.0 s of a core \(50 %\), has 100 MB\n/);
  // 10,000 nodes: 3.33 changes a second, each for 10,000 watchers, 10 µs each.
  assert.match(text, /10000 nodes: churn of 1 % a minute 0\.3 cores; all start at once 11000 s/);
});
