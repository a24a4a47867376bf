/** The network config: keys, defaults, ranges, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';
import { formatAddress, formatPrefix } from '../../../src/shared/address.ts';
import { WeftError } from '../../../src/shared/errors.ts';

const refused = (text: string): void => {
  assert.throws(() => parseNetworkConfig(text), WeftError, text);
};
const range = (text: string): string[] => {
  const { ipv4, ipv6 } = parseNetworkConfig(text);
  const family = ipv4 ?? ipv6;
  assert.ok(family);
  return [
    `${family.subnetLength}`,
    formatAddress(family.subnetMin.words),
    formatAddress(family.subnetMax.words),
  ];
};

test('CFG-1, CFG-5 keys in any case, defaults, host bits masked, last duplicate wins', () => {
  assert.deepEqual(range('{"network":"10.3.0.0/16"}'), ['24', '10.3.1.0', '10.3.255.0']);
  assert.equal(parseNetworkConfig('{"Network":"10.3.0.0/16"}').backend.type, 'udp');
  const odd = parseNetworkConfig('{"NETWORK":"10.9.9.9/16","x":1,"Network":"10.3.4.5/16"}');
  assert.ok(odd.ipv4);
  assert.equal(formatPrefix(odd.ipv4.network), '10.3.0.0/16');
  refused('{"Network":null}');
  refused('{}');
  refused('');
  refused('{"Network":"10.0.0.0/16"} x');
});

test('CFG-2, CFG-3 derived ranges', () => {
  const v6 =
    '{"EnableIPv4":false,"enableIPv6":true,"IPv6Network":"fc00::/48","Backend":{"Type":"vxlan"}}';
  assert.deepEqual(range(v6), ['64', 'fc00:0:0:1::', 'fc00:0:0:ffff::']);
  assert.deepEqual(range('{"Network":"10.0.0.0/23"}'), ['25', '10.0.0.128', '10.0.1.128']);
  assert.deepEqual(range('{"Network":"10.0.0.0/28"}'), ['30', '10.0.0.4', '10.0.0.12']);
  refused('{"Network":"10.0.0.0/29"}');
});

test('CFG-4, CFG-7 overrides and backends', () => {
  const base = '"Network":"10.3.0.0/16"';
  assert.deepEqual(
    range(`{${base},"SubnetMin":"10.3.5.0","SubnetMax":"10.3.8.0","SubnetLen":28}`),
    ['28', '10.3.5.0', '10.3.8.0'],
  );
  for (const bad of [
    '"SubnetMin":"10.4.0.0"',
    '"SubnetMax":"10.4.0.0"',
    '"SubnetMin":"10.3.5.1"',
    '"SubnetLen":31',
    '"SubnetLen":17',
    '"Backend":{}',
    '"Backend":{"Type":"wireguard"}',
    '"Backend":{"Type":"vxlan","VNI":16777216}',
  ]) {
    refused(`{${base},${bad}}`);
  }
  assert.equal(parseNetworkConfig(`{${base},"Backend":{"type":"VXLAN"}}`).backend.type, 'vxlan');
});
