/** Tunnel GSO in real nodes: used where the way out allows it, not used elsewhere, and nobody's bytes change. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lab, type LabDescription } from '../../lab/lab.ts';
import { transferHash } from '../../lab/transfer.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { needs } from '../support/needs.ts';

const { after, before, describe, it } = needs('root');

interface Status {
  offloads: string[];
  tunnelGso: { egress: { device: string; usable: boolean; why: string }[] } | null;
  stats: Record<string, number>;
}

const BYTES = 50_000_000;
const WEFT = { kind: 'weft' } as const;
const KERNEL = { kind: 'kernel' } as const;

/** IPv6 is forwarded only once the pods are set up, after the daemon's first look: it looks again. */
async function waitUntilUsable(node: WeftNode, families: readonly number[] = [4]): Promise<void> {
  for (let attempt = 0; attempt < 40; attempt++) {
    const { tunnelGso } = (await node.status()) as Status;
    const egress = tunnelGso?.egress ?? [];
    if (egress.length === families.length && egress.every((device) => device.usable)) return;
    await sleep(500);
  }
  throw new Error(`tunnel GSO is not used; log:\n${node.log}`);
}

const cases: { name: string; lab: LabDescription; usable: boolean }[] = [
  {
    name: 'veth with tunnel offload, weft and weft, IPv4 and IPv6',
    lab: { nodes: [WEFT, WEFT], families: [4, 6] },
    usable: true,
  },
  {
    name: 'veth with tunnel offload, weft and kernel VXLAN, IPv4 and IPv6',
    lab: { nodes: [WEFT, KERNEL], families: [4, 6] },
    usable: true,
  },
  {
    name: 'a link without segmentation offload',
    lab: { nodes: [WEFT, WEFT], underlayOffloads: 'wire' },
    usable: false,
  },
  {
    name: 'switched off by --offload=auto,-tunnelGso',
    lab: { nodes: [WEFT, WEFT], offload: 'auto,-tunnelGso' },
    usable: false,
  },
];

for (const { name, lab: description, usable } of cases) {
  describe(`netns: tunnel GSO, ${name}`, () => {
    let lab: Lab;
    let node: WeftNode;
    const status = async (): Promise<Status> => (await node.status()) as Status;
    before(async () => {
      lab = await Lab.build(description);
      node = lab.weftNodes[0] as WeftNode;
      if (usable)
        for (const each of lab.weftNodes) await waitUntilUsable(each, description.families);
    });
    after(() => lab?.close());

    for (const family of description.families ?? [4]) {
      it(`${BYTES / 1e6} MB arrive unchanged both ways, IPv${family}; super-packets ${usable ? 'leave' : 'do not leave'} whole`, async () => {
        const before = (await status()).stats['tunnelWrites'] as number;
        assert.ok((await transferHash(lab.pod(0), lab.pod(1), BYTES, { family })).equal);
        assert.ok((await transferHash(lab.pod(1), lab.pod(0), BYTES, { family })).equal);
        const { stats } = await status();
        const written = (stats['tunnelWrites'] as number) - before;
        if (usable) assert.ok(written > 100, `${written} tunnel writes`);
        else assert.equal(written, 0);
        assert.equal(stats['tunnelFallbacks'], 0);
      });
    }

    it('status says so, and why', async () => {
      const { tunnelGso, offloads } = await status();
      const isOff = description.offload !== undefined;
      assert.equal(offloads.includes('tunnelGso'), !isOff);
      if (isOff) return assert.equal(tunnelGso, null);
      assert.ok(tunnelGso && tunnelGso.egress.length > 0);
      for (const egress of tunnelGso.egress) {
        assert.equal(egress.usable, usable, egress.why);
        assert.equal(egress.why === '', usable);
      }
    });
  });
}

describe('netns: tunnel GSO behind a firewall that drops what is forwarded', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT] });
  });
  after(() => lab?.close());

  it('a probe that does not leave means segmentation here, and traffic flows', async () => {
    const node = lab.weftNodes[0] as WeftNode;
    const rules = [
      ['add', 'table', 'ip', 'filter'],
      ['add', 'chain', 'ip', 'filter', 'forward', '{ type filter hook forward priority 0; }'],
      ['add', 'rule', 'ip', 'filter', 'forward', 'iifname', '"weft.*"', 'drop'],
    ];
    for (const rule of rules) await node.namespace.exec('nft', rule);
    await node.restart();
    await lab.waitForPeers();
    assert.ok((await transferHash(lab.pod(0), lab.pod(1), BYTES)).equal);
    const { tunnelGso, stats } = (await node.status()) as Status;
    assert.equal(tunnelGso?.egress[0]?.usable, false);
    assert.match(tunnelGso?.egress[0]?.why ?? '', /probe did not leave/);
    assert.equal(stats['tunnelWrites'], 0);
  });
});
