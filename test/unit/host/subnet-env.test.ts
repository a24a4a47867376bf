/** subnet.env, to the byte. */
import assert from 'node:assert/strict';
import { chmod, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';
import { formatSubnetEnv, readSubnetEnv } from '../../../src/host/subnet-env.ts';
import { writeFileAtomically } from '../../../src/shared/files.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { prefix } from '../../support/rig.ts';

test('ENV-1, ENV-2 subnet.env to the byte, mode 0644 under any umask, read back leniently', async (t) => {
  const file = path.join(await temporaryFolder(t), 'run/subnet.env');
  const dual = parseNetworkConfig(
    '{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/56","Backend":{"Type":"vxlan"}}',
  );
  const subnets = { subnet4: prefix('10.5.72.0/24'), subnet6: prefix('fd00:0:0:1::/64') };
  const text = formatSubnetEnv(dual, subnets, 1450, false);
  assert.equal(
    text,
    'FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.72.1/24\nFLANNEL_IPV6_NETWORK=fd00::/56\n' +
      'FLANNEL_IPV6_SUBNET=fd00:0:0:1::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n',
  );
  const umask = process.umask(0o077);
  await writeFileAtomically(file, text, 0o644);
  process.umask(umask);
  assert.equal((await stat(file)).mode & 0o777, 0o644);
  assert.deepEqual((await readSubnetEnv(file)).subnets, subnets);
  await chmod(file, 0o644);
  await writeFile(file, '# x\nexport FLANNEL_SUBNET="junk, 10.5.9.1/24"\n');
  assert.deepEqual((await readSubnetEnv(file)).subnets, { subnet4: prefix('10.5.9.0/24') });
  await writeFile(file, 'FLANNEL_SUBNET=10.5.9.1/24,10.5.8.1/24\n');
  assert.equal((await readSubnetEnv(file)).subnets, undefined);
});
