import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../lab/command.ts';
import { Lab } from '../../lab/lab.ts';
import type { Namespace } from '../../lab/namespace.ts';
import { namespacesOf } from '../../lab/record.ts';
import { ping, tcpThroughput } from '../../lab/traffic.ts';
import { allSizes, transferHash, udpEcho } from '../../lab/transfer.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';

const { after, before, describe, it } = needs('root');

describe('netns: the lab itself with two kernel VXLAN nodes', () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.build({ nodes: [{ kind: 'kernel' }, { kind: 'kernel' }], families: [4, 6] });
  });
  after(() => lab?.close());

  for (const family of [4, 6] as const) {
    it(`pings without loss, IPv${family}`, async () => {
      const results = await Promise.all(
        lab.pairs().map(({ from, to }) => ping(from, to, { family })),
      );
      assert.deepEqual(
        results.map((result) => result.lossPct),
        [0, 0],
      );
      assert.ok(results.every((result) => (result.rttMsP50 ?? -1) > 0));
    });

    it(`moves TCP with equal hashes, IPv${family}`, async () => {
      const result = await transferHash(lab.pod(0), lab.pod(1), 5_000_001, { family, seed: 7 });
      assert.equal(result.sent.bytes, 5_000_001);
      assert.ok(result.equal);
    });

    it(`gets UDP of many sizes back unchanged, IPv${family}`, async () => {
      const sizes = [...allSizes(1, 40), ...allSizes(1340, 1460), 4000, 20_000];
      const result = await udpEcho(lab.pod(0), lab.pod(1), sizes, { family });
      assert.deepEqual(
        { ...result, repeated: [] },
        { sizes: sizes.length, missing: [], corrupt: [], repeated: [] },
      );
    });
  }

  it('measures TCP throughput', async () => {
    const result = await tcpThroughput(lab.pod(0), lab.pod(1), { seconds: 1 });
    assert.ok(result.gbps > 0.01, `${result.gbps} Gbit/s`);
  });

  it('follows the store: a peer leaves and comes back', async () => {
    const [, second] = lab.kernelNodes;
    assert.ok(second);
    await second.stop();
    await waitForRoutes(lab, (routes) => !routes.includes('flannel.1'));
    await second.start();
    await lab.waitForPeers();
    assert.deepEqual(
      lab.kernelNodes.flatMap((node) => node.problems),
      [],
    );
  });

  it('ends a process that ignores SIGTERM', async () => {
    const script =
      "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000);";
    const stubborn = lab.pod(0).namespace.spawn(process.execPath, ['-e', script]);
    await stubborn.waitForOutput(/up/);
    await stubborn.stop(200);
    assert.equal(stubborn.exit, 'signal SIGKILL');
  });
});

/** What the addon says of a device's features is what ethtool prints, where that has the kernel's own names for them. */
async function sameAsEthtool(namespace: Namespace | undefined): Promise<void> {
  assert.ok(namespace);
  const addon = path.join(projectRoot(), 'dist/src/memory/addon.js');
  const program = `
    const [device, ...names] = process.argv.slice(1);
    const { loadAddon } = await import(${JSON.stringify(addon)});
    console.log(JSON.stringify(names.map((name) => loadAddon().hasFeature(device, name))));`;
  for (const device of ['eth0', 'lo']) {
    const text: string = (await namespace.exec('ethtool', ['-k', device])).stdout;
    const lines = [...text.matchAll(/^\t?(tx-\S+|rx-\S+|highdma|loopback): (on|off)/gm)];
    const known = lines.filter(([, name = '']) => !/checksumming$|^.x-vlan-offload$/.test(name));
    assert.ok(known.length > 20, text);
    const names = known.map(([, name = '']) => name);
    const words = ['--input-type=module', '-e', program, '--', device, ...names, 'no-such-feature'];
    const answer = await namespace.exec(process.execPath, words);
    const expected = [...known.map(([, , value]) => Number(value === 'on')), 0];
    assert.deepEqual(JSON.parse(answer.stdout), expected, names.join());
  }
}

describe('netns: the lab without offloads, point to point', () => {
  it('carries traffic and leaves nothing behind', async () => {
    const lab = await Lab.build({
      nodes: [{ kind: 'kernel' }, { kind: 'kernel' }],
      underlayOffloads: 'off',
      underlayShape: 'point-to-point',
    });
    const { prefix, tempDir } = lab.scope;
    try {
      assert.ok((await transferHash(lab.pod(1), lab.pod(0), 1_000_000)).equal);
      const features = await lab.nodes[0]?.namespace.exec('ethtool', ['-k', 'eth0']);
      assert.match(features?.stdout ?? '', /tx-checksumming: off/);
      assert.match(features?.stdout ?? '', /generic-segmentation-offload: off/);
      await sameAsEthtool(lab.nodes[0]?.namespace);
    } finally {
      await lab.close();
    }
    assert.deepEqual(await namespacesOf(prefix), []);
    assert.ok(!existsSync(tempDir));
    assert.ok(!existsSync(`/run/weft-lab/${prefix}.json`));
  });
});

describe('netns: ping on a machine that stands still for a while', () => {
  it('an answer that comes later than ping by itself would wait for is not a loss', async () => {
    const lab = await Lab.build({ nodes: [{ kind: 'weft' }, { kind: 'weft' }] });
    try {
      const far = lab.weftNodes[1];
      const [count, intervalMs] = [10, 200];
      const result = ping(lab.pod(0), lab.pod(1), { count, intervalMs });
      await sleep((count * intervalMs) / 2);
      far?.signal('SIGSTOP');
      await sleep(count * intervalMs);
      far?.signal('SIGCONT');
      assert.equal((await result).lossPct, 0);
    } finally {
      await lab.close();
    }
  });
});

async function waitForRoutes(lab: Lab, good: (routes: string) => boolean): Promise<void> {
  const name = lab.nodes[0]?.namespace.name as string;
  for (let i = 0; i < 50; i++) {
    const { stdout } = await run('ip', ['-n', name, 'route']);
    if (good(stdout)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail('routes did not change');
}
