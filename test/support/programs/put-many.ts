/**
 * Writes leases into etcd as fast as it takes them: all once, then single changes among them, every tenth a removal.
 *   node put-many.js ENDPOINT PREFIX LEASES CHANGES
 */
import { Etcd3 } from 'etcd3';

const [endpoint = '', prefix = '', leases = '', changes = ''] = process.argv.slice(2);
const OPS_PER_TXN = 100;
const AT_ONCE = 64;
const client = new Etcd3({ hosts: endpoint });

const keyOf = (i: number): Buffer => Buffer.from(`${prefix}/subnets/10.${i >> 8}.${i & 255}.0-24`);
function leaseOf(i: number, change: number): Buffer {
  const hex = (byte: number): string => (byte & 255).toString(16).padStart(2, '0');
  const VtepMAC = `02:00:${[change >> 8, change, i >> 8, i].map(hex).join(':')}`;
  const value = { PublicIP: `198.18.${i >> 8}.${i & 255}`, PublicIPv6: null, BackendType: 'vxlan' };
  return Buffer.from(JSON.stringify({ ...value, BackendData: { VNI: 1, VtepMAC } }));
}

const count = Number(leases);
for (let from = 0; from < count; from += OPS_PER_TXN) {
  const some = Array.from({ length: Math.min(OPS_PER_TXN, count - from) }, (_, i) => from + i);
  const success = some.map((i) => ({ request_put: { key: keyOf(i), value: leaseOf(i, 0) } }));
  await client.kv.txn({ compare: [], success, failure: [] });
}
let change = 0;
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    while (change < Number(changes)) {
      const n = ++change;
      const i = (n * 7_919) % count;
      if (n % 10 === 0) await client.kv.deleteRange({ key: keyOf(i) });
      else await client.kv.put({ key: keyOf(i), value: leaseOf(i, n) });
    }
  }),
);
client.close();
