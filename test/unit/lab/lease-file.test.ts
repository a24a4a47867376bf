import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { networkConfig } from '../../../lab/lab.ts';
import { leaseKey, leaseValue, peerEntries } from '../../../lab/lease-file.ts';
import { addressInSubnet, mustParsePrefix, withLength } from '../../../lab/node.ts';
import { parseSubnetFile } from '../../../lab/weft-node.ts';

const MAC = 'c6:d2:32:6f:8f:44';
const subnet4 = mustParsePrefix('10.5.52.0/24');
const subnet6 = mustParsePrefix('fd00::/64');

describe('lease files', () => {
  it("has flannel's bytes for IPv4", () => {
    const lease = { subnet4, publicIp: '192.168.64.3', vtepMac: MAC };
    assert.equal(leaseKey(lease), '10.5.52.0-24');
    assert.equal(
      leaseValue(lease),
      `{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"${MAC}"}}`,
    );
  });

  it("has flannel's bytes for both families and for IPv6 alone", () => {
    const v6 = { subnet6, publicIpv6: 'fd50::3', vtepMacV6: MAC };
    const dual = { subnet4, publicIp: '192.168.64.3', vtepMac: MAC, ...v6 };
    const data = `{"VNI":1,"VtepMAC":"${MAC}"}`;
    assert.equal(leaseKey(dual), '10.5.52.0-24&fd00::-64');
    assert.equal(
      leaseValue(dual),
      `{"PublicIP":"192.168.64.3","PublicIPv6":"fd50::3","BackendType":"vxlan","BackendData":${data},"BackendV6Data":${data}}`,
    );
    assert.equal(
      leaseValue(v6),
      `{"PublicIP":"0.0.0.0","PublicIPv6":"fd50::3","BackendType":"vxlan","BackendV6Data":${data}}`,
    );
    assert.deepEqual(
      peerEntries(leaseKey(dual), leaseValue(dual)).map((peer) => peer.family),
      [4, 6],
    );
  });

  it('makes no peer of junk', () => {
    assert.deepEqual(peerEntries('junk', '{}'), []);
    assert.deepEqual(peerEntries('10.5.52.0-24', 'null'), []);
    assert.deepEqual(peerEntries('10.5.52.0-24', '{"PublicIP":"1.2.3.4","PublicIPv6":null}'), []);
  });
});

describe('addresses of the lab', () => {
  it('counts within a subnet', () => {
    assert.equal(addressInSubnet(subnet4, 2), '10.5.52.2');
    assert.equal(withLength(subnet6, 1), 'fd00::1/64');
  });

  it('reads the subnet file', () => {
    const text =
      'FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.52.1/24\nFLANNEL_IPV6_SUBNET=fd00::1/64\nFLANNEL_MTU=1450\n';
    assert.deepEqual(parseSubnetFile(text), { subnet4, subnet6, mtu: 1450 });
    assert.throws(() => parseSubnetFile('FLANNEL_MTU=1450\n'), /not complete/);
  });

  it('writes the config of each family set', () => {
    assert.equal(
      JSON.stringify(networkConfig('vxlan', [4])),
      '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}',
    );
    assert.deepEqual(networkConfig('udp', [6]), {
      EnableIPv4: false,
      EnableIPv6: true,
      IPv6Network: 'fd00:244::/48',
      Backend: { Type: 'udp' },
    });
  });
});
