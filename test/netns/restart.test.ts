/**
 * Restarts under traffic: real daemons in namespaces, numbered datagrams and a TCP transfer. Descriptors pass through weft-keeper, which
 * also stands for systemd's descriptor store.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../lab/command.ts';
import { Lab } from '../../lab/lab.ts';
import { NumberedStream } from '../../lab/numbered-udp.ts';
import { ping } from '../../lab/traffic.ts';
import { transferHash } from '../../lab/transfer.ts';
import { LINK, type Link, parseIpJson } from '../../src/host/ip-json.ts';
import { KeptDaemon } from '../support/kept-daemon.ts';
import { needs } from '../support/needs.ts';
import { adminPage, statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

/** A queue holds eight seconds of it: a start takes that long only on a machine that is far too busy. */
const PER_SECOND = 500;
/** 10 ms worth of packets. */
const LOST_MAX = PER_SECOND / 100;
/** What a worker has: a TUN queue and a socket, and again for bulk flows. */
const DESCRIPTORS = 4;

async function deviceOf(lab: Lab, node = 0): Promise<Link | undefined> {
  const words = ['-d', 'link', 'show'];
  const text = await lab.nodes[node]?.namespace.ip('-j', ...words);
  const links = parseIpJson(LINK, text?.stdout ?? '', words.join(' '));
  return links.find(({ ifname }) => ifname === 'flannel.1');
}

describe('netns: restart with descriptors kept by a stand-in for systemd', () => {
  let lab: Lab;
  let daemon: KeptDaemon;
  const first = () => {
    const node = lab.weftNodes[0];
    assert.ok(node);
    return node;
  };

  before(async () => {
    process.env['WEFT_FAULTS'] = '1';
    lab = await Lab.build({ nodes: [{ kind: 'weft' }, { kind: 'weft' }], workers: 2 });
    await first().stop();
    daemon = await KeptDaemon.start(lab, first(), { watchdogMs: 6_000 });
    await lab.waitForPeers();
  });
  after(() => lab?.close());

  /** Numbered streams both ways and a TCP transfer while `disturb` runs; says what got lost. */
  async function underTraffic(name: string, disturb: () => Promise<void>): Promise<void> {
    const out = await NumberedStream.start(lab.pod(0), lab.pod(1), { perSecond: PER_SECOND });
    const back = await NumberedStream.start(lab.pod(1), lab.pod(0), {
      perSecond: PER_SECOND,
      port: 7004,
    });
    const transfer = transferHash(lab.pod(1), lab.pod(0), 200 << 20, { timeoutMs: 300_000 });
    await sleep(300);
    await disturb();
    assert.ok((await transfer).equal, 'the transfer is complete and right');
    const results = { out: await out.stop(), back: await back.stop() };
    console.log(`${name}: ${JSON.stringify(results)}`);
    for (const [way, { sent, lost, repeated }] of Object.entries(results)) {
      assert.ok(sent > PER_SECOND / 2, `${way}: the stream ran`);
      assert.ok(lost <= LOST_MAX, `${way}: lost ${lost} of ${sent}`);
      assert.equal(repeated, 0, way);
    }
  }

  it('a restart under traffic loses at most 10 ms worth of packets; device, lease and MAC stay', async () => {
    const earlier = await statusOf(first());
    const device = await deviceOf(lab);
    await underTraffic('restart', () => daemon.restart());
    assert.equal(daemon.last.inherited, 2 * DESCRIPTORS);
    assert.equal((await deviceOf(lab))?.ifindex, device?.ifindex);
    assert.equal((await statusOf(first())).lease.key, earlier.lease.key);
  });

  it('so does a crash: SIGKILL', async () => {
    const device = await deviceOf(lab);
    await underTraffic('SIGKILL', () => daemon.kill());
    assert.equal((await deviceOf(lab))?.ifindex, device?.ifindex);
  });

  it('a hung worker: the watchdog is not fed, the daemon is killed and started again', async () => {
    const starts = daemon.count(/^start /);
    await adminPage(first().adminSocket, '/fault?worker=1&fault=hang');
    await daemon.untilReady(starts + 1);
    assert.equal(daemon.count(/^watchdog$/), 1);
    assert.equal(daemon.count(/^end signal SIGABRT$/), 1);
    assert.equal((await ping(lab.pod(0), lab.pod(1), { count: 20 })).lossPct, 0);
  });

  it('SIGHUP: says that it reloads, and that it is ready again', async () => {
    const { pid } = daemon.last;
    const ready = daemon.count(/^message READY=1$/);
    process.kill(pid, 'SIGHUP');
    await until('ready again', () => daemon.count(/^message READY=1$/) === ready + 1);
    assert.equal(daemon.count(/^message RELOADING=1 MONOTONIC_USEC=\d+$/), 1);
  });

  it('tells its state in one line', async () => {
    await until(
      'a status line',
      () => daemon.count(/^message STATUS=1 peer, file ok, \d+ drops.s$/) > 0,
    );
  });

  it('another number of workers: what does not fit is closed and leaves the store', async () => {
    const letGo = (): number => daemon.count(/: let go of (bulk-)?(tun|udp)-4-1: 1$/);
    const earlier = letGo();
    await daemon.restart('--workers=1');
    await until(
      'what the second worker had is gone',
      () => letGo() === earlier + DESCRIPTORS,
    ).catch((error: Error) => {
      const lines = daemon.lines.filter((line) => /weft-keeper: /.test(line));
      throw new Error(`${error.message}\n${lines.slice(-60).join('\n')}`);
    });
    assert.equal((await ping(lab.pod(0), lab.pod(1), { count: 20 })).lossPct, 0);
    await daemon.restart();
    assert.equal(daemon.last.inherited, DESCRIPTORS);
    await lab.waitForPeers();
  });

  it('a second daemon beside it is refused', async () => {
    const [command, ...args] = first().command();
    const { code, stderr } = await first().namespace.exec(
      command,
      [...args, `--admin-socket=${lab.scope.tempDir}/second.sock`],
      { allowFailure: true },
    );
    assert.equal(code, 71, stderr);
    assert.match(stderr, /flannel\.1 exists already: .*another weftd runs here/);
  });

  it('the service is stopped, and the store lets go: the device goes, a blackhole stays', async () => {
    await daemon.stop();
    assert.equal(await deviceOf(lab), undefined);
    const { stdout } = await first().namespace.ip('route', 'show', 'proto', '86');
    assert.match(stdout, /^blackhole 10\.244\.0\.0\/16 metric 4294967294\s*$/);
  });
});

describe('netns: restart without a service manager', () => {
  let lab: Lab;
  const first = () => {
    const node = lab.weftNodes[0];
    assert.ok(node);
    return node;
  };
  const routes = async () =>
    (await first().namespace.ip('route', 'show', 'dev', 'flannel.1')).stdout;
  before(async () => {
    lab = await Lab.build({ nodes: [{ kind: 'weft' }, { kind: 'weft' }], workers: 2 });
  });
  after(() => lab?.close());

  it('a clean stop leaves no device and no address; packets leave nowhere else; the next start makes it again', async () => {
    await first().stop();
    assert.equal(await deviceOf(lab), undefined);
    const words = ['-n', first().namespace.name, 'route', 'get', lab.pod(1).address(4)];
    assert.notEqual((await run('ip', words, { allowFailure: true })).code, 0);
    assert.equal((await ping(lab.pod(0), lab.pod(1), { count: 2, waitMs: 200 })).received, 0);
    await first().start();
    await lab.waitForPeers();
  });

  it('SIGKILL leaves device and route, packets leave nowhere else, and the next start takes them', async () => {
    const device = await deviceOf(lab);
    await first().kill();
    const orphan = await deviceOf(lab);
    assert.equal(orphan?.ifindex, device?.ifindex);
    assert.equal(orphan?.linkinfo?.info_data?.['numqueues'], 0, 'nobody holds a queue');
    assert.match(await routes(), /10\.244\.0\.0\/16/);
    const { stdout } = await first().namespace.ip('route', 'get', lab.pod(1).address(4));
    assert.match(stdout, /dev flannel\.1/);
    assert.equal((await ping(lab.pod(0), lab.pod(1), { count: 2, waitMs: 200 })).received, 0);
    await first().start();
    assert.equal((await deviceOf(lab))?.ifindex, device?.ifindex);
    await lab.waitForPeers();
  });

  it('a device of another make in its place is named', async () => {
    await first().stop();
    const space = first().namespace;
    await space.ip('tuntap', 'add', 'mode', 'tun', 'name', 'flannel.1');
    await assert.rejects(first().start(), /flannel\.1 exists already: .*ip link delete flannel\.1/);
    await space.ip('link', 'delete', 'flannel.1');
    await first().start();
  });
});

describe('netns: an ordinary user with CAP_NET_ADMIN and CAP_NET_RAW', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [{ kind: 'weft' }, { kind: 'weft' }], flags: ['--ip-masq'] });
  });
  after(() => lab?.close());

  it('forwards, masquerades and restarts as root does', async () => {
    const node = lab.weftNodes[0];
    assert.ok(node);
    await node.stop();
    await node.namespace.sysctl({ 'net/ipv4/conf/default/accept_local': 1 });
    // What a package's set-up does: folders that belong to the user.
    for (const folder of [lab.scope.tempDir, `${lab.scope.tempDir}/n1`, lab.storeDir]) {
      await run('chown', ['-R', '65534:65534', folder]);
    }
    const caps = '+net_admin,+net_raw';
    // Usually everybody may open /dev/net/tun; for this process it is so whatever the machine has.
    const script =
      'rm -f "$1" && mknod -m 666 "$1" c 10 200 && mount --bind "$1" /dev/net/tun && shift && exec "$@"';
    const prefix = ['unshare', '--mount', 'sh', '-c', script, 'sh', `${lab.scope.tempDir}/tun`];
    prefix.push('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups');
    prefix.push(
      `--inh-caps=-all,${caps}`,
      `--ambient-caps=-all,${caps}`,
      '--bounding-set=-all,+net_admin,+net_raw',
      '--no-new-privs',
    );
    const daemon = await KeptDaemon.start(lab, node, { prefix });
    const status = await statusOf(node);
    assert.equal(status.firewall.problem, '');
    const local = await node.namespace.exec('cat', [
      '/proc/sys/net/ipv4/conf/flannel.1/accept_local',
    ]);
    assert.equal(local.stdout.trim(), '0', 'also where new devices get 1');
    await lab.waitForPeers();
    await daemon.restart();
    assert.equal(daemon.last.inherited, DESCRIPTORS * status.workers.length);
    await lab.waitForPeers();
  });
});
