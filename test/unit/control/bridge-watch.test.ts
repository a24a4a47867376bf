/** What is done about a bridge of another subnet, on what `ip` prints. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BridgeWatch } from '../../../src/control/bridge-watch.ts';
import type { AddressedLink } from '../../../src/host/ip-json.ts';
import { type Prefix, parsePrefix } from '../../../src/shared/address.ts';
import { keepLog } from '../../support/log-lines.ts';

const OWN = {
  subnet4: parsePrefix('10.244.1.0/24') as Prefix,
  subnet6: parsePrefix('fd00:1::/64') as Prefix,
};

const NETWORKS = [parsePrefix('10.244.0.0/16') as Prefix, parsePrefix('fd00::/16') as Prefix];

function bridge(local: string, prefixlen: number, name = 'cni0'): AddressedLink {
  const family = local.includes(':') ? 'inet6' : 'inet';
  const linkinfo = { info_kind: 'bridge' };
  const addr_info = [{ family, local, prefixlen, scope: 'global' }];
  return { ifindex: 5, ifname: name, flags: [], mtu: 1450, linkinfo, addr_info };
}

const pod = { ...bridge('192.0.2.1', 24, 'veth1'), linkinfo: {}, master: 'cni0' };

function setUp(failure?: Error) {
  const removed: string[] = [];
  const { log, messages } = keepLog();
  const watch = new BridgeWatch(async (name) => {
    if (failure) throw failure;
    removed.push(name);
  }, log);
  return { watch, removed, messages };
}

test('with nothing on it, it goes and that is said; of either family', async () => {
  const { watch, removed, messages } = setUp();
  await watch.look([bridge('10.244.9.1', 24)], OWN, NETWORKS);
  await watch.look([bridge('fd00:9::1', 64)], OWN, NETWORKS);
  assert.deepEqual([removed, watch.stale], [['cni0', 'cni0'], '']);
  assert.match(
    messages[0] ?? '',
    /^cni0 has 10\.244\.9\.0\/24, this node's pods 10\.244\.1\.0\/24/,
  );
});

test('with pods on it, it stays and is a problem until they are gone', async () => {
  const { watch, removed } = setUp();
  await watch.look([bridge('10.244.9.1', 24), pod], OWN, NETWORKS);
  assert.deepEqual(removed, []);
  assert.match(watch.stale, /cni0 has 10\.244\.9\.0\/24, .*; devices on it: 1$/);
  await watch.look([bridge('10.244.9.1', 24)], OWN, NETWORKS);
  assert.deepEqual([removed, watch.stale], [['cni0'], '']);
});

test("the node's own bridge stays, and so does any other", async () => {
  const { watch, removed } = setUp();
  await watch.look([bridge('10.244.1.1', 24), bridge('10.244.9.1', 24, 'br0')], OWN, NETWORKS);
  await watch.look(
    [{ ...bridge('10.244.9.1', 24), linkinfo: { info_kind: 'dummy' } }],
    OWN,
    NETWORKS,
  );
  assert.deepEqual([removed, watch.stale], [[], '']);
});

test('what can not be removed is a problem', async () => {
  const { watch } = setUp(new Error('busy'));
  await watch.look([bridge('10.244.9.1', 24)], OWN, NETWORKS);
  assert.match(watch.stale, /it can't be removed: busy/);
});

test('a bridge of another network stays, also without pods, and is warned of', async () => {
  const { watch, removed } = setUp();
  await watch.look([bridge('10.85.0.1', 16)], OWN, NETWORKS);
  assert.deepEqual(removed, []);
  assert.match(watch.stale, /^cni0 has 10\.85\.0\.0\/16, .*it is not of this network$/);
});
