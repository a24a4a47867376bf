/** Values of leases, to the byte. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeData } from '../../../src/cluster/kinds/vxlan.ts';
import type { LeaseAttributes } from '../../../src/cluster/lease/lease.ts';
import { decodeValue, encodeValue } from '../../../src/cluster/lease/value.ts';
import { words } from '../../support/rig.ts';

test('VAL-1 values to the byte', () => {
  const ip: LeaseAttributes = { publicIp4: words('1.2.3.4'), backendType: '' };
  assert.equal(encodeValue(ip), '{"PublicIP":"1.2.3.4","PublicIPv6":null}');
  const data = { VNI: 1, VtepMAC: 'c6:d2:32:6f:8f:44' };
  const vxlan = { ...ip, backendType: 'vxlan', backendData: data };
  const tail = '"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}';
  assert.equal(encodeValue(vxlan), `{"PublicIP":"1.2.3.4","PublicIPv6":null,${tail}}`);
  const dual = { ...vxlan, publicIp6: words('fd50::3'), backendV6Data: data };
  assert.equal(
    encodeValue(dual),
    `{"PublicIP":"1.2.3.4","PublicIPv6":"fd50::3",${tail},"BackendV6Data":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}}`,
  );
});

test('VAL-2 readers take any key case and missing fields, and refuse junk', () => {
  assert.equal(decodeValue('{"publicip":"1.2.3.4"}')?.backendType, '');
  assert.equal(decodeValue('{"PublicIP":"fd00::1"}'), undefined);
  assert.equal(decodeValue('nonsense'), undefined);
  assert.equal(decodeValue('[1]'), undefined);
  assert.deepEqual(decodeData({ VtepMAC: '02:00:00:00:00:01' }), {
    mac: { high: 0x02000000, low: 1 },
  });
  assert.equal(decodeData({ VtepMAC: 'x' }), undefined);
});
