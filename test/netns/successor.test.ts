/** What comes after a weftd: nothing that it leaves may be in the way. Real daemons, and stock devices as flanneld makes them. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Lab, networkConfig } from '../../lab/lab.ts';
import { needs } from '../support/needs.ts';
import { becomeStock, DEVICES, first, ipOf, removeStock } from '../support/stock-flannel.ts';

const { after, before, describe, it } = needs('root');

const WEFT = { kind: 'weft' } as const;
const NETWORKS = { 4: '10.244.0.0/16', 6: 'fd00:244::/48' } as const;

/** Nothing of a weftd that ended may be better than what anybody else has, in any family. */
async function expectNothingInTheWay(lab: Lab): Promise<void> {
  const ip = ipOf(lab);
  const space = first(lab).namespace;
  assert.doesNotMatch(await ip('link'), /flannel|weft\./);
  await ip('link', 'add', 'other0', 'type', 'veth', 'peer', 'name', 'other1');
  await ip('link', 'set', 'other0', 'up');
  for (const family of lab.families) {
    const routes = await ip(`-${family}`, 'route', 'show', 'proto', '86');
    for (const line of routes.trim().split('\n')) assert.match(line, /metric 4294967294/);
    const peer = lab.pod(1).address(family);
    const words = [`-${family}`, 'route', 'get', peer];
    const before = await space.exec('ip', words, { allowFailure: true });
    assert.notEqual(before.code, 0, `packets leave nowhere else: ${before.stdout}`);
    await ip(`-${family}`, 'route', 'add', NETWORKS[family], 'dev', 'other0');
    assert.match(await ip(...words), /dev other0/, 'one route of a successor is better');
  }
  await ip('link', 'delete', 'other0');
}

describe('netns: after a clean stop of vxlan, IPv4 and IPv6', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, { kind: 'kernel' }], families: [4, 6] });
  });
  after(() => lab?.close());

  it('nothing that is left is in the way of a successor, and packets leave nowhere else', async () => {
    await first(lab).stop();
    await expectNothingInTheWay(lab);
  });

  it('a stock flannel takes the place at once: pods talk again, without a cleanup', async () => {
    await becomeStock(lab);
    await lab.waitForPeers();
    await removeStock(lab);
  });

  it('and back: weftd has its device and its routes, and what it had left is gone', async () => {
    await first(lab).start();
    await lab.waitForPeers();
    for (const family of lab.families) {
      const routes = await ipOf(lab)(`-${family}`, 'route', 'show', 'proto', '86');
      assert.match(routes, new RegExp(`^${NETWORKS[family]} dev ${DEVICES[family]}`, 'm'));
      assert.doesNotMatch(routes, /4294967294/);
    }
  });
});

describe('netns: after a clean stop of udp', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT], backend: 'udp' });
  });
  after(() => lab?.close());

  it("the name flannel0 is free, and flannel's one route for Network wins", async () => {
    await first(lab).stop();
    await expectNothingInTheWay(lab);
    await first(lab).start();
    await lab.waitForPeers();
  });

  it('udp → vxlan, after a crash that left flannel0: it goes and is named, pods talk', async () => {
    for (const node of lab.weftNodes) await node.kill();
    assert.match(await ipOf(lab)('link'), /flannel0/, 'a crash leaves it for the next start');
    writeFileSync(path.join(lab.storeDir, 'config'), JSON.stringify(networkConfig('vxlan', [4])));
    await Promise.all(lab.weftNodes.map((node) => node.start()));
    assert.doesNotMatch(await ipOf(lab)('link'), /flannel0/);
    assert.match(first(lab).log, /removed what an earlier run .* left: device flannel0/);
    await lab.waitForPeers();
  });
});

describe('netns: after a clean stop of host-gw', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT], backend: 'host-gw' });
  });
  after(() => lab?.close());

  it("pods still talk, another one's routes to the same subnets win, and a start has its own again", async () => {
    const ip = ipOf(lab);
    await first(lab).stop();
    await lab.waitForPeers();
    const peer = lab.pod(1).address(4);
    await ip('link', 'add', 'other0', 'type', 'veth', 'peer', 'name', 'other1');
    await ip('link', 'set', 'other0', 'up');
    await ip('route', 'add', peer.replace(/\d+$/, '0/24'), 'dev', 'other0');
    assert.match(await ip('route', 'get', peer), /dev other0/);
    await ip('link', 'delete', 'other0');
    await first(lab).start();
    await lab.waitForPeers();
    assert.doesNotMatch(await ip('route', 'show', 'proto', '86'), /4294967294/);
  });
});
