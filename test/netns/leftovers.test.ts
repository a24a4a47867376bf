/** What comes before a weftd: devices, routes and addresses of earlier runs, and of others. Real daemons in namespaces. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from '../../lab/command.ts';
import { underlayAddress } from '../../lab/fabric.ts';
import { Lab, networkConfig } from '../../lab/lab.ts';
import { projectBinary } from '../../lab/root.ts';
import { WeftNode } from '../../lab/weft-node.ts';
import { needs } from '../support/needs.ts';
import { statusOf } from '../support/node-status.ts';
import { first, ipOf } from '../support/stock-flannel.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const WEFT = { kind: 'weft' } as const;

describe('netns: left-overs of earlier runs', () => {
  let lab: Lab;
  let second: WeftNode;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT], families: [4, 6] });
    // Another network on the same host: its own store, state, VNI and ports.
    const store = path.join(lab.scope.tempDir, 'store2');
    const config = { Network: '10.245.0.0/16', Backend: { Type: 'vxlan', VNI: 2, Port: 8473 } };
    mkdirSync(path.join(store, 'subnets'), { recursive: true });
    writeFileSync(path.join(store, 'config'), JSON.stringify(config));
    second = new WeftNode('n1-second', first(lab).namespace, underlayAddress(1), {
      store: [`--store=file:${store}`],
      tempDir: lab.scope.tempDir,
    });
    await second.start();
  });
  after(() => lab?.close());

  it('dual stack → IPv4 after a crash: flannel-v6.1 goes', async () => {
    const node = first(lab);
    await node.kill();
    assert.match(await ipOf(lab)('link'), /flannel-v6\.1/);
    writeFileSync(path.join(lab.storeDir, 'config'), JSON.stringify(networkConfig('vxlan', [4])));
    await node.start();
    const links = await ipOf(lab)('link');
    assert.doesNotMatch(links, /flannel-v6\.1/);
    assert.match(links, /flannel\.1:/);
    assert.match(node.log, /left: device flannel-v6\.1/);
  });

  it('another VNI: flannel.1 goes', async () => {
    await first(lab).kill();
    const config = networkConfig('vxlan', [4], { VNI: 7 });
    writeFileSync(path.join(lab.storeDir, 'config'), JSON.stringify(config));
    await first(lab).start();
    const links = await ipOf(lab)('link');
    assert.doesNotMatch(links, /flannel\.1:/);
    assert.match(links, /flannel\.7:/);
  });

  it("the other network's device stays, while its daemon runs and when it crashed", async () => {
    const index = async () => /^(\d+): flannel\.2:/m.exec(await ipOf(lab)('link'))?.[1];
    const before = await index();
    assert.ok(before);
    await first(lab).restart();
    assert.equal(await index(), before);
    await second.kill();
    await first(lab).restart();
    assert.equal(await index(), before);
    assert.match(await ipOf(lab)('addr', 'show', 'dev', 'flannel.2'), /10\.245\./);
    await second.start();
    assert.equal(await index(), before);
  });

  it("another Network: routes of the earlier one go, the other network's stay", async () => {
    const node = first(lab);
    await node.kill();
    assert.match(await ipOf(lab)('route'), /10\.244\.0\.0\/16 dev flannel\.7/);
    const config = { ...networkConfig('vxlan', [4], { VNI: 7 }), Network: '10.246.0.0/16' };
    writeFileSync(path.join(lab.storeDir, 'config'), JSON.stringify(config));
    // Not by node.start, which begins without the subnet.env of the run before.
    const [command, ...words] = node.command();
    const daemon = node.namespace.spawn(command, words, { logFile: node.logFile });
    await until('it is ready', async () =>
      (await ipOf(lab)('route')).includes('10.246.0.0/16 dev flannel.7'),
    );
    const routes = await ipOf(lab)('route', 'show', 'proto', '86');
    assert.doesNotMatch(routes, /10\.244\./);
    assert.match(routes, /10\.245\.0\.0\/16 dev flannel\.2/);
    assert.match(node.log, /left: route 10\.244\.0\.0\/16/);
    await daemon.stop();
  });
});

describe('netns: addresses in the wrong place', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT] });
  });
  after(() => lab?.close());
  const weft = (...words: string[]) =>
    run(
      process.execPath,
      [projectBinary('weft'), ...words, `--admin-socket=${first(lab).adminSocket}`],
      { allowFailure: true, timeoutMs: 60_000 },
    );
  const textOf = async (code: string): Promise<string> =>
    (await statusOf(first(lab))).health.find((warning) => warning.code === code)?.text ?? '';

  it("this host has a peer's overlay address: ping says so instead of 0 % loss, and it is an alarm", async () => {
    const { key } = (await statusOf(lab.weftNodes[1] as WeftNode)).lease;
    const address = key.replace('-24', '');
    const ip = ipOf(lab);
    await ip('link', 'add', 'flannel0', 'type', 'veth', 'peer', 'name', 'other1');
    await ip('addr', 'add', `${address}/32`, 'dev', 'flannel0');
    await until('the alarm', async () => (await textOf('overlay-address-taken')) !== '');
    assert.match(await textOf('overlay-address-taken'), new RegExp(`${address}/32 on flannel0`));
    assert.equal((await statusOf(first(lab))).healthy, false);
    const { code, stdout } = await weft('ping', key, '--count=1');
    assert.equal(code, 1, stdout);
    assert.match(stdout, /this host has that address itself, on flannel0/);
    assert.match(stdout, /1 sent, 0 received, 100% loss/);
    assert.match((await weft('ping', '--all')).stdout, /n1 \(\S+\) → n2 \(\S+\): no answer/);
    await ip('link', 'delete', 'flannel0');
    await until('all is well', async () => (await textOf('overlay-address-taken')) === '');
    assert.equal((await weft('ping', key, '--count=1')).code, 0);
  });

  it('somebody gives our device an address: it is named, and pods talk on', async () => {
    const ip = ipOf(lab);
    await ip('addr', 'add', '192.0.2.77/24', 'dev', 'flannel.1');
    await until('the warning', async () => (await textOf('foreign-address')) !== '');
    assert.match(await textOf('foreign-address'), /flannel\.1 has 192\.0\.2\.77\/24/);
    await lab.waitForPeers();
    await ip('addr', 'del', '192.0.2.77/24', 'dev', 'flannel.1');
    await until('it is over', async () => (await textOf('foreign-address')) === '');
  });
});
