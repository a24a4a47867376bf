/**
 * Stands for many daemons on one etcd: each leases a subnet, publishes new MACs and gives the subnet back; some at a time, so that
 * a slow machine takes longer and does the same.
 *   node churn.js ENDPOINT NODES
 * Prints one JSON line: how many leases were taken, changed and given back.
 */

import { acquireLease } from '../../../src/cluster/lease/acquire.ts';
import type { LeaseAttributes } from '../../../src/cluster/lease/lease.ts';
import { encodeValue } from '../../../src/cluster/lease/value.ts';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';
import { EtcdStore } from '../../../src/cluster/store/etcd.ts';
import { words } from '../rig.ts';

const [endpoint = '', nodes = ''] = process.argv.slice(2);
const AT_ONCE = 40;
const files = { keyFile: '', certFile: '', caFile: '', username: '', password: '' };
const store = new EtcdStore({ endpoints: [endpoint], prefix: '/coreos.com/network', ...files });
const config = parseNetworkConfig((await store.readConfig()) ?? '');
const counts = { taken: 0, changed: 0, returned: 0 };

function attributes(node: number, change: number): LeaseAttributes {
  const mac = `02:00:00:${[change, node >> 8, node].map((n) => (n & 255).toString(16).padStart(2, '0')).join(':')}`;
  return {
    publicIp4: words(`198.18.${node >> 8}.${node & 255}`),
    backendType: 'vxlan',
    backendData: { VNI: 1, VtepMAC: mac },
  };
}

async function live(node: number): Promise<void> {
  const lease = await acquireLease(store, config, attributes(node, 0), undefined);
  counts.taken++;
  let { revision } = lease;
  for (let change = 1; change <= 3; change++) {
    const value = encodeValue(attributes(node, change));
    const result = await store.replace(lease.key, value, 60_000, revision);
    if (!result.ok) throw new Error(`${lease.key} was changed by somebody else`);
    revision = result.revision;
    counts.changed++;
  }
  if (!(await store.delete(lease.key, revision))) throw new Error(`${lease.key} was changed`);
  counts.returned++;
}

const waiting = Array.from({ length: Number(nodes) }, (_, node) => node);
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let node = waiting.shift(); node !== undefined; node = waiting.shift()) await live(node);
  }),
);
await store.close();
process.stdout.write(`${JSON.stringify(counts)}\n`);
