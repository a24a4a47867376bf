/** What others do to the host, and what the daemon leaves there: real daemons in namespaces. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { run } from '../../lab/command.ts';
import { HOST_FAULTS } from '../../lab/host-faults.ts';
import { Lab } from '../../lab/lab.ts';
import { projectBinary } from '../../lab/root.ts';
import { ping } from '../../lab/traffic.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { needs } from '../support/needs.ts';
import { statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const WEFT = { kind: 'weft' } as const;

describe('netns: the host changes under the daemon', () => {
  let lab: Lab;
  const first = (): WeftNode => lab.weftNodes[0] as WeftNode;
  const ip = async (...args: string[]): Promise<string> =>
    (await first().namespace.ip(...args)).stdout;
  before(async () => {
    lab = await Lab.build({
      nodes: [WEFT, WEFT, { kind: 'kernel' }],
      workers: 2,
      flags: ['--ip-masq'],
    });
  });
  after(() => lab?.close());

  for (const fault of HOST_FAULTS)
    it(`${fault.name}: all is put back, and pods talk again`, async () => {
      await fault.prepare?.(first());
      await fault.happen(first());
      await until('the device is up', async () =>
        (await ip('link', 'show', 'flannel.1').catch(() => '')).includes(',UP'),
      );
      await until('its address', async () =>
        /inet 10\.244\.\d+\.0\/32/.test(await ip('addr', 'show', 'dev', 'flannel.1')),
      );
      await until('its route', async () =>
        (await ip('route')).includes('10.244.0.0/16 dev flannel.1 proto 86'),
      );
      await lab.waitForPeers();
      await until('status says so', async () => (await statusOf(first())).healthy);
    });

  it('a floating address on the underlay comes and goes: nothing moves', async () => {
    const { key } = (await statusOf(first())).lease;
    const published = (await lab.board.read()).get(key);
    const said = first().log.length;
    // In a subnet of its own, so that it would be a primary address; and ahead of ours in the kernel's list.
    await ip('addr', 'add', '10.98.0.9/32', 'dev', 'eth0');
    await ip('addr', 'delete', '10.99.0.1/24', 'dev', 'eth0');
    await ip('addr', 'add', '10.99.0.1/24', 'dev', 'eth0');
    await ip('addr', 'add', '169.254.7.7/16', 'dev', 'eth0');
    await lab.waitForPeers();
    await ip('addr', 'delete', '10.98.0.9/32', 'dev', 'eth0');
    await ip('addr', 'delete', '169.254.7.7/16', 'dev', 'eth0');
    await lab.waitForPeers();
    assert.equal((await lab.board.read()).get(key), published);
    assert.doesNotMatch(first().log.slice(said), /10\.98\.0\.9|169\.254/);
  });

  it('only a self-assigned address is left: it is not taken, and when the old one returns all is well', async () => {
    const { key } = (await statusOf(first())).lease;
    const published = (await lab.board.read()).get(key);
    await ip('addr', 'add', '169.254.7.7/16', 'dev', 'eth0');
    await ip('addr', 'delete', '10.99.0.1/24', 'dev', 'eth0');
    await until('it is said', async () =>
      (await statusOf(first())).health.some(({ text }) => /lost its address/.test(text)),
    );
    assert.equal((await lab.board.read()).get(key), published);
    await ip('addr', 'add', '10.99.0.1/24', 'dev', 'eth0');
    await ip('addr', 'delete', '169.254.7.7/16', 'dev', 'eth0');
    await lab.waitForPeers();
    await until('status says so', async () => (await statusOf(first())).healthy);
  });

  it("IPv6 addresses of the underlay come and go: no change of an IPv4 cluster's underlay", async () => {
    const said = first().log.length;
    await ip('addr', 'add', 'fd00:98::7/64', 'dev', 'eth0', 'nodad');
    await ip('addr', 'delete', 'fd00:98::7/64', 'dev', 'eth0');
    await ip('link', 'set', 'eth0', 'alias', 'a sign that the news were heard');
    await lab.waitForPeers();
    assert.doesNotMatch(first().log.slice(said), /the underlay changed/);
  });

  it("the underlay's interface is renamed: followed by its address, packets go on", async () => {
    const { key } = (await statusOf(first())).lease;
    await ip('link', 'set', 'eth0', 'name', 'lan0');
    try {
      await until('followed', () =>
        /the underlay changed from eth0 10\.99\.0\.1.* to lan0 10\.99\.0\.1/.test(first().log),
      );
      await lab.waitForPeers();
      assert.equal((await statusOf(first())).lease.key, key);
    } finally {
      await ip('link', 'set', 'lan0', 'name', 'eth0');
    }
    await until('and back', () => /the underlay changed from lan0 .* to eth0/.test(first().log));
    await lab.waitForPeers();
  });

  it('A-8 a deleted device is made anew and traffic goes on; totals do not run backwards', async () => {
    const before = await statusOf(first());
    await ip('link', 'delete', 'flannel.1');
    await until('the device is back', async () => (await ip('link')).includes('flannel.1'));
    await lab.waitForPeers();
    await until('healthy', async () => (await statusOf(first())).healthy);
    const now = await statusOf(first());
    for (const [name, value] of Object.entries(before.counters))
      assert.ok((now.counters[name] ?? 0) >= value, name);
    for (const [i, worker] of before.workers.entries())
      for (const name of ['restarts', 'breaths', 'waitNs'] as const)
        assert.ok((now.workers[i]?.[name] ?? 0) >= worker[name], `${name} of worker ${i}`);
  });

  it("the underlay's address changes: followed, published under the same key, peers converge", async () => {
    const { key } = (await statusOf(first())).lease;
    await ip('addr', 'add', '10.99.0.101/24', 'dev', 'eth0');
    await ip('addr', 'delete', '10.99.0.1/24', 'dev', 'eth0');
    // Deleting the first address of a subnet deletes the others unless promotion is on.
    await ip('addr', 'replace', '10.99.0.101/24', 'dev', 'eth0');
    await until('published', async () =>
      ((await lab.board.read()).get(key) ?? '').startsWith('{"PublicIP":"10.99.0.101"'),
    );
    await lab.waitForPeers();
    const now = await statusOf(first());
    assert.equal(now.node.publicIp, '10.99.0.101');
    assert.deepEqual([now.lease.key, now.lease.state], [key, 'held']);
  });

  it("the underlay's MTU changes: device and subnet.env follow", async () => {
    await ip('link', 'set', 'eth0', 'mtu', '1400');
    await until('subnet.env', () =>
      readFileSync(first().subnetFile, 'utf8').includes('FLANNEL_MTU=1350\n'),
    );
    assert.match(await ip('link', 'show', 'flannel.1'), /mtu 1350/);
    await ip('link', 'set', 'eth0', 'mtu', '1500');
    await until('back', () =>
      readFileSync(first().subnetFile, 'utf8').includes('FLANNEL_MTU=1450\n'),
    );
    await lab.waitForPeers();
  });
});

describe('netns: in the place of a stock flannel', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, { kind: 'kernel' }] });
  });
  after(() => lab?.close());

  it('its vxlan device is taken over, with the MAC that its peers know', async () => {
    const node = lab.weftNodes[0] as WeftNode;
    await node.stop();
    const mac = '02:11:22:33:44:55';
    const vxlan = [
      'type',
      'vxlan',
      'id',
      '1',
      'dev',
      'eth0',
      'local',
      '10.99.0.1',
      'dstport',
      '8472',
    ];
    await node.namespace.ip('link', 'add', 'flannel.1', 'address', mac, ...vxlan, 'nolearning');
    await node.namespace.ip('link', 'set', 'flannel.1', 'up');
    await node.start();
    const { key } = (await statusOf(node)).lease;
    assert.match((await lab.board.read()).get(key) ?? '', new RegExp(mac));
    assert.match(node.log, /took over its MAC/);
    await lab.waitForPeers();
    await node.restart();
    assert.match((await lab.board.read()).get(key) ?? '', new RegExp(mac), 'kept over a restart');
  });
});

describe('netns: a cloned state folder', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT] });
  });
  after(() => lab?.close());

  it('the clone takes another MAC than the node that it was copied from', async () => {
    const [first, second] = lab.weftNodes as [WeftNode, WeftNode];
    await second.stop();
    copyFileSync(path.join(first.stateDir, 'state.json'), path.join(second.stateDir, 'state.json'));
    await second.start();
    const macs = [...(await lab.board.read()).values()].map(
      (value) => JSON.parse(value).BackendData.VtepMAC,
    );
    assert.equal(new Set(macs).size, 2);
    assert.match(second.log, /another node has the MAC/);
    await lab.waitForPeers();
  });
});

describe('netns: rules, files and what cleanup removes', () => {
  let lab: Lab;
  const first = (): WeftNode => lab.weftNodes[0] as WeftNode;
  const says = async (command: string, ...args: string[]): Promise<string> =>
    (await first().namespace.exec(command, args)).stdout;
  const cleanup = (...args: string[]) =>
    first().namespace.exec(
      process.execPath,
      [
        projectBinary('weft'),
        'cleanup',
        `--admin-socket=${first().adminSocket}`,
        `--subnet-file=${first().subnetFile}`,
        `--state-dir=${first().stateDir}`,
        ...args,
      ],
      { allowFailure: true },
    );
  before(async () => {
    lab = await Lab.build({
      nodes: [WEFT, WEFT],
      families: [4, 6],
      flags: ['--ip-masq', '--iptables-resync=1', '--ip-blackhole-route'],
    });
  });
  after(() => lab?.close());

  it('FW-1 --ip-masq: rules in both families, subnet.env says so, they heal; pods still talk', async () => {
    assert.match(readFileSync(first().subnetFile, 'utf8'), /^FLANNEL_IPMASQ=true$/m);
    for (const tool of ['iptables', 'ip6tables'])
      assert.equal(
        (await says(tool, '-t', 'nat', '-S', 'FLANNEL-POSTRTG')).trim().split('\n').length,
        7,
      );
    await says('iptables', '-t', 'nat', '-F', 'FLANNEL-POSTRTG');
    await until('healed', async () =>
      (await says('iptables', '-t', 'nat', '-S', 'FLANNEL-POSTRTG')).includes('MASQUERADE'),
    );
    for (const family of [4, 6] as const)
      assert.equal((await ping(lab.pod(0), lab.pod(1), { family, count: 3 })).lossPct, 0);
  });

  it('--ip-blackhole-route: one per family where the subnet has no route of its own', async () => {
    const { namespace } = first();
    // The lab's pod device has a route to the whole subnet; without it the blackhole takes its place.
    await namespace.ip('addr', 'flush', 'dev', 'pod0');
    await until('blackhole', async () =>
      /blackhole 10\.244\.\d+\.0\/24 proto 86/.test(await says('ip', 'route')),
    );
    await until('IPv6', async () =>
      /blackhole fd00:244:\S+::\/64/.test(await says('ip', '-6', 'route')),
    );
  });

  it('A-32 stop leaves rules, blackholes and subnet.env; cleanup removes all of it, and says what', async () => {
    const busy = await cleanup();
    assert.equal(busy.code, 1);
    assert.match(busy.stderr, /stop it first/);
    await first().stop();
    assert.match(await says('iptables', '-t', 'nat', '-S'), /FLANNEL-POSTRTG/);
    assert.ok(existsSync(first().subnetFile));
    const { code, stdout } = await cleanup();
    assert.equal(code, 0);
    for (const what of [
      'FLANNEL-POSTRTG',
      'FLANNEL-FWD',
      'route 10.244.',
      'subnet.env',
      'state.json',
    ])
      assert.ok(stdout.includes(what), `${what} in ${stdout}`);
    assert.doesNotMatch(await says('nft', 'list', 'ruleset'), /FLANNEL|flannel/);
    assert.doesNotMatch(await says('ip', 'route'), /proto 86|flannel/);
    assert.doesNotMatch(await says('ip', '-6', 'route'), /proto 86|flannel/);
    assert.doesNotMatch(await says('ip', 'link'), /flannel|weft\.\d/);
    assert.ok(
      !existsSync(first().subnetFile) && !existsSync(path.join(first().stateDir, 'state.json')),
    );
    assert.match((await cleanup()).stdout, /nothing was left/);
  });

  it('FW-2 EnableNFTables: rules by nft, those of iptables removed', async () => {
    const flavours = await Lab.build({
      nodes: [WEFT, WEFT],
      flags: ['--ip-masq'],
      configOptions: { EnableNFTables: true },
      waitForPeers: false,
    });
    try {
      const node = flavours.weftNodes[0] as WeftNode;
      const { stdout } = await node.namespace.exec('nft', ['list', 'ruleset']);
      assert.match(stdout, /table ip flannel-ipv4/);
      assert.doesNotMatch(stdout, /FLANNEL-/);
      await flavours.waitForPeers();
    } finally {
      await flavours.close();
    }
  });

  it('the daemon says nothing secret: not in its log, not in its status', async () => {
    const { stdout, stderr } = await run(
      process.execPath,
      [
        projectBinary('weftd'),
        '--etcd-endpoints=http://127.0.0.1:1',
        '--etcd-username=flannel',
        '--etcd-password=hunter2hunter2',
        '--kube-subnet-mgr',
      ],
      { allowFailure: true },
    );
    assert.doesNotMatch(stdout + stderr, /hunter2/);
  });
});
