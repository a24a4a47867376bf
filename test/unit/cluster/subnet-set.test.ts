/** Overlap questions: the set answers as a look at every member would. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { overlaps } from '../../../src/cluster/lease/arithmetic.ts';
import { SubnetSet } from '../../../src/cluster/lease/subnet-set.ts';
import { egressOf, hasTunnelOffload } from '../../../src/host/egress.ts';
import { type Prefix, parseAddress, parsePrefix, type Words } from '../../../src/shared/address.ts';

const subnet = fc
  .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 18, max: 30 }))
  .map(([third, bits]) => {
    const mask = bits >= 24 ? 255 : (255 << (24 - bits)) & 255;
    return parsePrefix(`10.0.${third & mask}.0/${bits}`) as Prefix;
  });

test('a subnet set finds an overlap exactly when there is one', () => {
  fc.assert(
    fc.property(fc.array(subnet, { maxLength: 40 }), (subnets) => {
      const set = new SubnetSet();
      const members: Prefix[] = [];
      for (const next of subnets) {
        const expected = members.some((member) => overlaps(member, next));
        assert.equal(set.overlapping(next) !== undefined, expected);
        if (expected) continue;
        set.add(next, 'key');
        members.push(next);
      }
    }),
  );
});

test('egress: answers are kept when ip fails for some; our own address is no way out', async () => {
  const words = (text: string): Words => parseAddress(text) as Words;
  const answers = [
    '[{"dst":"192.0.2.1","dev":"eth0","flags":[]}]',
    'Error: ipv4: FIB table does not exist.',
    '[{"type":"local","dst":"192.0.2.9","dev":"lo","flags":[]}]',
    '[{',
  ].join('\n');
  const failing = async (): Promise<string> => {
    throw new Error('ip: exit code 2', { cause: { stdout: answers } });
  };
  const devices = await egressOf(
    [{ to: words('192.0.2.1'), from: words('192.0.2.9') }, { to: words('198.18.0.1') }],
    failing,
  );
  assert.deepEqual([...devices], [['192.0.2.1', { device: 'eth0', isDirect: true }]]);
  assert.equal((await egressOf([], failing)).size, 0);
});

test('egress: tunnel offload means segmentation and checksums', async () => {
  const features = (segmentation: string, checksum: string) => async () =>
    `Features:\ntx-udp_tnl-segmentation: ${segmentation}\ntx-udp_tnl-csum-segmentation: ${checksum}\n`;
  assert.equal(await hasTunnelOffload('eth0', features('on', 'on [fixed]')), true);
  assert.equal(await hasTunnelOffload('eth0', features('on', 'off')), false);
  assert.equal(await hasTunnelOffload('eth0', features('off [fixed]', 'on')), false);
});
