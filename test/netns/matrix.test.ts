/** Pods reach each other across real namespaces, kernels and daemons: weft ⇄ weft and weft ⇄ kernel VXLAN. */
import assert from 'node:assert/strict';
import { Lab, type LabDescription } from '../../lab/lab.ts';
import type { Pod } from '../../lab/pod.ts';
import { ping } from '../../lab/traffic.ts';
import { allSizes, transferHash, udpEcho } from '../../lab/transfer.ts';
import { fastOf } from '../support/fast-path.ts';
import { needs } from '../support/needs.ts';

const { after, before, describe, it } = needs('root');

const TRANSFER_BYTES = 100_000_000;
const WEFT = { kind: 'weft' } as const;
const KERNEL = { kind: 'kernel' } as const;

interface Case {
  name: string;
  lab: LabDescription;
  /** tunnel MTU of each family */
  mtu: number;
}

const cases: Case[] = [];
for (const underlayOffloads of ['on', 'off'] as const) {
  for (const workers of [1, 2]) {
    const shared = { workers, underlayOffloads };
    const suffix = `${workers} worker(s), underlay offloads ${underlayOffloads}`;
    cases.push({
      name: `weft and weft, vxlan, ${suffix}`,
      lab: { nodes: [WEFT, WEFT], families: [4, 6], ...shared },
      mtu: 1430,
    });
    cases.push({
      name: `VX-1, VX-7 weft and kernel VXLAN, ${suffix}`,
      lab: { nodes: [WEFT, KERNEL], families: [4, 6], ...shared },
      mtu: 1430,
    });
    cases.push({
      name: `weft and weft, flannel-UDP, ${suffix}`,
      lab: { nodes: [WEFT, WEFT], backend: 'udp', ...shared },
      mtu: 1472,
    });
  }
}
for (const peer of [WEFT, KERNEL])
  for (const underlayOffloads of ['on', 'off', 'wire'] as const)
    cases.push({
      name: `weft and ${peer.kind}, vxlan, fast path, underlay offloads ${underlayOffloads}`,
      lab: { nodes: [WEFT, peer], families: [4, 6], underlayOffloads, fastPath: 'auto' },
      mtu: 1430,
    });
cases.push({
  name: 'weft and weft, vxlan, --offload=off (one packet per system call)',
  lab: { nodes: [WEFT, WEFT], offload: 'off' },
  mtu: 1450,
});

for (const { name, lab: description, mtu } of cases) {
  describe(`netns: ${name}`, () => {
    let lab: Lab;
    const families = description.families ?? [4];
    const each = (
      title: string,
      body: (from: Pod, to: Pod, family: 4 | 6) => Promise<void>,
    ): void => {
      for (const family of families) {
        it(`${title}, IPv${family}, both ways at once`, async () => {
          const ways = [body(lab.pod(0), lab.pod(1), family), body(lab.pod(1), lab.pod(0), family)];
          await Promise.all(ways);
        });
      }
    };

    before(async () => {
      lab = await Lab.build(description);
    });
    after(() => lab?.close());

    each('pings without loss, small, full and fragmented', async (from, to, family) => {
      const full = mtu - (family === 4 ? 28 : 48);
      for (const size of [56, full, 3000, 9000]) {
        const result = await ping(from, to, { family, size, count: 5 });
        assert.equal(result.lossPct, 0, `${size} bytes`);
      }
    });
    each('moves 100 MB of TCP with equal hashes', async (from, to, family) => {
      const result = await transferHash(from, to, TRANSFER_BYTES, { family, seed: 11 });
      assert.equal(result.sent.bytes, TRANSFER_BYTES);
      assert.ok(result.equal);
    });
    each('gets UDP of all kinds of sizes back unchanged', async (from, to, family) => {
      const sizes = [...allSizes(1, 64), ...allSizes(500, 520), ...allSizes(mtu - 70, mtu), 5000];
      const result = await udpEcho(from, to, sizes, { family });
      assert.deepEqual([result.sizes, result.missing, result.corrupt], [sizes.length, [], []]);
    });
    if (description.fastPath)
      it('TCP took the fast path', async () => {
        for (const node of lab.weftNodes) {
          const { counters, why } = await fastOf(node);
          assert.ok((counters['sentBytes'] ?? 0) > TRANSFER_BYTES / 2, why);
        }
      });
    it('counts every packet once', async () => {
      for (const node of lab.weftNodes) {
        const status = (await node.status()) as {
          counters: Record<string, number>;
          drops: { outbound: Record<string, number>; inbound: Record<string, number> };
        };
        const sum = (drops: Record<string, number>): number =>
          Object.values(drops).reduce((a, b) => a + b, 0);
        const { counters: c, drops } = status;
        assert.equal(c['outPackets'], (c['sentPackets'] ?? 0) + sum(drops.outbound));
        assert.equal(c['inPackets'], (c['deliveredPackets'] ?? 0) + sum(drops.inbound));
      }
    });
  });
}
