/** Overlap questions, and ways out of the host. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import fc from 'fast-check';
import { overlaps } from '../../../src/cluster/lease/arithmetic.ts';
import { PrefixIndex } from '../../../src/cluster/lease/prefix-index.ts';
import { egressOf, hasCard, hasTunnelOffload } from '../../../src/host/egress.ts';
import { type Prefix, parseAddress, parsePrefix, type Words } from '../../../src/shared/address.ts';

const subnet = fc
  .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 18, max: 30 }))
  .map(([third, bits]) => {
    const mask = bits >= 24 ? 255 : (255 << (24 - bits)) & 255;
    return parsePrefix(`10.0.${third & mask}.0/${bits}`) as Prefix;
  });

test('a prefix index finds what a look at every member would, whatever came and went before', () => {
  const step = fc.record({ prefix: subnet, isAsked: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const index = new PrefixIndex<Prefix>((prefix) => prefix);
      let members: Prefix[] = [];
      for (const { prefix, isAsked } of steps) {
        if (isAsked) {
          const found = index.overlapping(prefix);
          const expected = members.filter((member) => overlaps(member, prefix));
          assert.deepEqual(new Set(found), new Set(expected));
          assert.equal(found.length, expected.length);
          for (const member of found.slice(0, 2)) {
            index.remove(member);
            members = members.filter((other) => other !== member);
          }
        } else {
          index.add(prefix);
          members.push(prefix);
        }
      }
      const lengths = new Set(members.map(({ bits }) => bits));
      assert.deepEqual(new Set(index.lengths()), lengths);
      for (const bits of lengths)
        assert.equal(
          [...index.ofLength(bits)].length,
          members.filter((member) => member.bits === bits).length,
        );
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

test('egress: hardware, and what stands upon some; by answers of ip, as no machine has all of it', async () => {
  const link = (ifname: string, kind = '', more: object = {}) => ({
    ...{ ifindex: 1, ifname, flags: [], mtu: 1500, linkinfo: { info_kind: kind } },
    ...more,
  });
  const links = [
    link('eth0', '', { parentdev: 'virtio2' }),
    link('vlan5', 'vlan', { link: 'eth0' }),
    link('bond0', 'bond'),
    link('eth1', '', { parentdev: '0000:01:00.0', master: 'bond0' }),
    link('br0', 'bridge'),
    link('bond0.7', 'vlan', { link: 'bond0' }),
    link('veth0', 'veth', { link: 'eth0', master: 'br0' }),
    link('far', 'macvlan', { link: 'eth0', link_netnsid: 0 }),
    link('turn', 'macvlan', { link: 'turn' }),
  ];
  const run = async (_: string, args: readonly string[]): Promise<string> => {
    const [key, value] = args.slice(-2);
    const field = key === 'dev' ? 'ifname' : 'master';
    return JSON.stringify(
      links.filter((each) => (each as Record<string, unknown>)[field] === value),
    );
  };
  const found: string[] = [];
  for (const { ifname } of links) if (await hasCard(ifname, run)) found.push(ifname);
  assert.deepEqual(found, ['eth0', 'vlan5', 'bond0', 'eth1', 'bond0.7']);
  await assert.rejects(hasCard('none', run), /no device none/);
});

test('egress: tunnel offload means segmentation and checksums', () => {
  const having = (...features: string[]) => ({
    hasFeature: (_: string, feature: string) => Number(features.includes(feature)),
  });
  const [segmentation, checksum] = ['tx-udp_tnl-segmentation', 'tx-udp_tnl-csum-segmentation'];
  assert.equal(hasTunnelOffload(having(segmentation, checksum), 'eth0'), true);
  assert.equal(hasTunnelOffload(having(segmentation), 'eth0'), false);
  assert.equal(hasTunnelOffload(having(checksum), 'eth0'), false);
  const gone = { hasFeature: () => -constants.errno.ENODEV };
  assert.throws(() => hasTunnelOffload(gone, 'eth0'), /eth0: no features \(ENODEV\)/);
});
