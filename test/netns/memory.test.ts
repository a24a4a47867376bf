/** Nodes that start without their store: real daemons, a real etcd or a folder that is not mounted, and pods that talk meanwhile. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../lab/command.ts';
import { ETCD_PREFIX, Lab } from '../../lab/lab.ts';
import { NumberedStream } from '../../lab/numbered-udp.ts';
import { ping } from '../../lab/traffic.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { KeptDaemon } from '../support/kept-daemon.ts';
import { needs } from '../support/needs.ts';
import { adminPage, healthPage, statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, afterEach, before, describe, it } = needs('root');

const HEALTH_PORT = 8081;

const memoryOf = (node: WeftNode): string => path.join(node.stateDir, 'memory.json');

/** What a power cut takes: the process, devices, routes, rules, everything in /run. */
async function loseAllButDisk(node: WeftNode): Promise<void> {
  await node.kill();
  await node.namespace.exec('ip', ['link', 'delete', 'flannel.1'], { allowFailure: true });
  for (const tables of ['iptables', 'ip6tables'])
    for (const table of ['filter', 'nat', 'mangle'])
      await node.namespace.exec(tables, ['-t', table, '-F'], { allowFailure: true });
  await node.namespace.exec('ip', ['route', 'flush', 'proto', '86'], { allowFailure: true });
  rmSync(node.subnetFile, { force: true });
}

const remembers = (node: WeftNode, publicIp: string): Promise<void> =>
  until(`${publicIp} is remembered`, () => {
    const file = memoryOf(node);
    return existsSync(file) && readFileSync(file, 'utf8').includes(`PublicIP\\":\\"${publicIp}\\"`);
  });

const answers = async (lab: Lab): Promise<boolean> =>
  (await ping(lab.pod(0), lab.pod(1), { count: 1 })).lossPct === 0;

/** Numbered streams both ways while something happens; the result is what got lost. */
async function lostDuring(lab: Lab, happen: () => Promise<void>): Promise<number> {
  const out = await NumberedStream.start(lab.pod(0), lab.pod(1));
  const back = await NumberedStream.start(lab.pod(1), lab.pod(0), { port: 7004 });
  await sleep(300);
  await happen();
  await sleep(1_000); // what is put right late
  const results = [await out.stop(), await back.stop()];
  for (const { sent } of results) assert.ok(sent > 500, 'the streams ran');
  return results.reduce((sum, { lost }) => sum + lost, 0);
}

describe('netns: a node that starts without its etcd', () => {
  let lab: Lab;
  const node = (i: number): WeftNode => lab.weftNodes[i] as WeftNode;
  const etcd = () => {
    assert.ok(lab.etcd);
    return lab.etcd;
  };
  const storeReturns = async (): Promise<void> => {
    await etcd().start();
    await etcd().waitUntilServing();
    await until('confirmed', async () => {
      const { store, lease } = await statusOf(node(0));
      return store.ok && store.rememberedAt === null && lease.state === 'held';
    });
  };

  before(async () => {
    const weft = { kind: 'weft' } as const;
    lab = await Lab.build({
      nodes: [weft, weft],
      store: 'etcd',
      flags: [`--healthz-port=${HEALTH_PORT}`, '--probe-seconds=1'],
    });
    await remembers(node(0), '10.99.0.2');
  });
  after(() => lab?.close());

  it('the memory is readable for root only, and is of this store', () => {
    assert.equal(statSync(memoryOf(node(0))).mode & 0o777, 0o600);
    const [head, body] = readFileSync(memoryOf(node(0)), 'utf8').split('\n', 2) as [string, string];
    assert.equal(JSON.parse(head).version, 1);
    assert.match(body, /"of":"etcd http:\/\/[\d.:]+ etcd key \/coreos.com\/network\/config"/);
  });

  it('a reboot while etcd is dead: overlay, rules and subnet.env come back, pods talk, everybody says that it is from memory; no packet is lost when etcd returns', async () => {
    const before = await statusOf(node(0));
    await etcd().kill();
    await loseAllButDisk(node(0));
    const startedMs = Date.now();
    await node(0).start();
    await until('pods talk', () => answers(lab));
    console.log(`overlay back after ${Date.now() - startedMs} ms`);
    const status = await statusOf(node(0));
    assert.equal(status.lease.key, before.lease.key);
    assert.equal(status.lease.state, 'remembered');
    assert.equal(status.devices[0]?.mac, before.devices[0]?.mac);
    assert.equal(status.store.ok, false);
    assert.equal(status.store.lastEventAt, null);
    assert.ok(status.store.rememberedAt);
    assert.match(status.store.message, /check --etcd-endpoints/);
    assert.equal(status.firewall.ok, true);
    assert.equal((await healthPage(node(0), HEALTH_PORT, '/readyz')).status, 200);
    await until('health says so', async () =>
      (await statusOf(node(0))).health.some(({ code }) => code === 'from-memory'),
    );
    const metrics = (await healthPage(node(0), HEALTH_PORT, '/metrics')).body;
    assert.match(metrics, /^weft_from_memory 1$/m);
    assert.match(metrics, /^weft_store_up 0$/m);
    assert.match(metrics, /^weft_memory_timestamp_seconds 1\d{9}/m);
    const lost = await lostDuring(lab, storeReturns);
    assert.equal(lost, 0);
    assert.match(
      (await healthPage(node(0), HEALTH_PORT, '/metrics')).body,
      /^weft_from_memory 0$/m,
    );
    assert.match(node(0).log, /what was remembered holds/);
  });

  it('a peer that changed while etcd was dead shows as unreachable, and is right when etcd is back', async () => {
    await etcd().kill();
    await loseAllButDisk(node(0));
    await node(0).start();
    await until('pods talk', () => answers(lab));
    await node(1).kill();
    await until('unreachable', async () => {
      const { healthy, reach } = await statusOf(node(0));
      return !healthy && reach?.unreachable === 1;
    });
    await storeReturns();
    await node(1).start();
    await lab.waitForPeers();
    await until('healthy', async () => (await statusOf(node(0))).healthy);
  });

  it('--start-from-memory=false waits for etcd, and says since when', async () => {
    await etcd().kill();
    await loseAllButDisk(node(0));
    const started = node(0).restart({
      flags: ['--start-from-memory=false', `--healthz-port=${HEALTH_PORT}`],
    });
    started.catch(() => undefined);
    await until('the store is known to be away', async () => {
      const text = await adminPage(node(0).adminSocket, '/status').catch(() => '{}');
      return /check --etcd-endpoints/.test(JSON.parse(text).store?.message ?? '');
    });
    const { store, notReady, backend } = await statusOf(node(0));
    assert.deepEqual([store.ok, store.rememberedAt, backend], [false, null, null]);
    assert.match(notReady ?? '', /waiting for the network config/);
    assert.equal((await healthPage(node(0), HEALTH_PORT, '/readyz')).status, 503);
    assert.ok(!existsSync(node(0).subnetFile));
    await etcd().start();
    await started;
    await lab.waitForPeers();
  });

  for (const [manager, ends, how] of [
    ['systemd', 1, 'ends, is started again'],
    ['kubelet', 0, 'starts again within its process'],
  ] as const)
    it(`the own subnet was given away meanwhile: under ${manager} the node ${how}, and has another`, () =>
      subnetGivenAway(manager, ends));

  /** `ends`: how often the process ends because of it. */
  async function subnetGivenAway(manager: 'systemd' | 'kubelet', ends: number): Promise<void> {
    await node(0).restart({ flags: [] });
    // Not the pods, which keep the addresses of the first subnet.
    await until('a peer', async () => (await statusOf(node(0))).peers.total === 1);
    const { key } = (await statusOf(node(0))).lease;
    await node(0).stop();
    const full = `${ETCD_PREFIX}/subnets/${key}`;
    const { value = '', lease } = (await etcd().ctl().get(full)) ?? {};
    await etcd().kill();
    await loseAllButDisk(node(0));
    const daemon = await KeptDaemon.start(lab, node(0), { manager });
    try {
      assert.equal((await statusOf(node(0))).lease.state, 'remembered');
      await lab.linkStore('down');
      await etcd().start();
      await etcd().waitUntilServing();
      await etcd().ctl().put(full, value.replace('10.99.0.1', '10.99.0.77'), lease);
      await lab.linkStore('up');
      await until('ready again', () => daemon.count(/^message READY=1$/) === 2);
      await until('another subnet', async () => {
        const status = await statusOf(node(0));
        return status.lease.key !== key && status.lease.state === 'held';
      });
      assert.equal(daemon.count(/subnet was given away/), 1);
      assert.equal(daemon.count(/^end exit code 75$/), ends);
      // Queues and sockets are the same ones: nothing was opened anew, nothing was let go.
      const kept = daemon.count(/: keeps (bulk-)?(tun|udp)-/);
      assert.equal(kept, 4 * (await statusOf(node(0))).workers.length);
      assert.equal(daemon.count(/: let go of (bulk-)?(tun|udp)-/), 0);
    } finally {
      await daemon.stop();
      await etcd().ctl().delete(full);
    }
  }
});

describe('netns: a node that starts while the folder of its store is not mounted', () => {
  let lab: Lab;
  let daemon: KeptDaemon | undefined;
  const node = (i: number): WeftNode => lab.weftNodes[i] as WeftNode;

  before(async () => {
    lab = await Lab.build({ nodes: [{ kind: 'weft' }, { kind: 'weft' }] });
  });
  afterEach(() => daemon?.stop());
  after(() => lab?.close());

  it('an empty folder where the store was: from memory, and not a packet is lost when the store is mounted', async () => {
    await remembers(node(0), '10.99.0.2');
    await loseAllButDisk(node(0));
    // Its own view of the folder is an empty file system, until that is taken off.
    const hide = `mount -t tmpfs none ${lab.storeDir} && exec "$@"`;
    daemon = await KeptDaemon.start(lab, node(0), {
      prefix: ['unshare', '-m', 'sh', '-c', hide, 'sh'],
    });
    const { pid } = daemon.last;
    await until('pods talk', () => answers(lab));
    const { store } = await statusOf(node(0));
    assert.ok(store.rememberedAt);
    assert.match(store.message, /no network config yet/);
    const lost = await lostDuring(lab, async () => {
      await run('nsenter', ['-t', String(pid), '-m', 'umount', '-l', lab.storeDir]);
      await until('confirmed', async () => (await statusOf(node(0))).lease.state === 'held');
    });
    assert.equal(lost, 0);
    assert.equal((await statusOf(node(0))).store.ok, true);
  });

  it('a state folder that is full: it starts and forwards, with one warning', async () => {
    await node(0).stop();
    const fill = [
      `mkdir -p ${node(0).stateDir}`,
      `mount -t tmpfs -o size=64k none ${node(0).stateDir}`,
      `(cat /dev/zero > ${node(0).stateDir}/full 2>/dev/null; true)`,
      'exec "$@"',
    ];
    daemon = await KeptDaemon.start(lab, node(0), {
      prefix: ['unshare', '-m', 'sh', '-c', fill.join(' && '), 'sh'],
    });
    const { pid } = daemon.last;
    await until('pods talk', () => answers(lab));
    await until('it is said', () => (daemon?.count(/memory.json can't be written/) ?? 0) > 0);
    assert.equal((await statusOf(node(0))).lease.state, 'held');
    const { stdout } = await run('nsenter', [
      '-t',
      String(pid),
      '-m',
      'ls',
      '-A',
      node(0).stateDir,
    ]);
    assert.equal(stdout.trim(), 'full', 'no draft is left');
  });
});
