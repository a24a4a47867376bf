/** The network config of a cluster that gives nodes their subnets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutAllocation } from '../../../../src/cluster/kubernetes/given-subnets.ts';
import { parseNetworkConfig } from '../../../../src/cluster/network-config.ts';
import { formatPrefix } from '../../../../src/shared/address.ts';

test('CFG-6: bad ranges are accepted, whatever they say and however they are spelled', () => {
  for (const more of [
    { SubnetLen: 24 },
    { subnetLEN: 31, SubnetMin: '10.9.0.0', SubnetMax: 'none' },
    { IPv6SubnetLen: 127, IPv6SubnetMin: 5, EnableIPv6: true, IPv6Network: 'fd00:244::/56' },
  ]) {
    const text = JSON.stringify({ Network: '10.244.0.0/24', Backend: { Type: 'vxlan' }, ...more });
    assert.throws(() => parseNetworkConfig(text), { code: 'ERR_CONFIG' });
    const { ipv4 } = parseNetworkConfig(withoutAllocation(text));
    assert.equal(ipv4 && formatPrefix(ipv4.network), '10.244.0.0/24');
  }
});

test('what is no config stays as it is, for the parser to refuse', () => {
  for (const text of ['', '{', '[]', 'null', '"x"', `{"a":"${'x'.repeat(2_000_000)}"}`])
    assert.equal(withoutAllocation(text), text);
});
