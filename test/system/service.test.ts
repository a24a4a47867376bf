/**
 * The Debian package in a real Debian with a real systemd (systemd-nspawn): install, start, reload, watchdog, crash, restart under
 * traffic, bad settings, upgrade, removal. The other node of the cluster is a weftd in a namespace.
 */
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../lab/command.ts';
import { buildFabric, underlayAddress } from '../../lab/fabric.ts';
import { networkConfig } from '../../lab/lab.ts';
import { Machine } from '../../lab/machine.ts';
import { LabScope } from '../../lab/namespace.ts';
import type { LabNode } from '../../lab/node.ts';
import { NumberedStream } from '../../lab/numbered-udp.ts';
import { Pod } from '../../lab/pod.ts';
import { ping } from '../../lab/traffic.ts';
import { transferHash } from '../../lab/transfer.ts';
import { parseSubnetFile, WeftNode } from '../../lab/weft-node.ts';
import type { StatusPage } from '../../src/api/status.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

/** 10 ms worth of packets at 1,000 a second. */
const LOST_MAX = 10;
/** What `systemd-analyze security` may say: 0 is best, 10 worst. */
const EXPOSURE_MAX = 2.5;
const DROP_IN = '/etc/systemd/system/weftd.service.d/test.conf';
const SUBNET_FILE = '/run/flannel/subnet.env';

describe('systemd: the Debian package in a booted Debian', () => {
  let scope: LabScope;
  let machine: Machine;
  let near: Pod;
  let far: Pod;
  let store: string;

  const systemctl = (...words: string[]) => machine.exec('systemctl', words, { timeoutMs: 60_000 });
  const show = (...names: string[]) => machine.show('weftd', ...names);
  const inside = (file: string): string => path.join(machine.root, file);
  const subnetEnv = async (): Promise<string> => (await machine.exec('cat', [SUBNET_FILE])).stdout;
  const leaseFile = async (): Promise<string> => {
    const subnet = /FLANNEL_SUBNET=(.*)\.1\/24/.exec(await subnetEnv())?.[1];
    return readFileSync(path.join(store, 'subnets', `${subnet}.0-24`), 'utf8');
  };
  const mainPid = async (): Promise<string> => (await show('MainPID'))['MainPID'] as string;
  const isActive = async (): Promise<boolean> => {
    const { ActiveState, SubState } = await show('ActiveState', 'SubState');
    return ActiveState === 'active' && SubState === 'running';
  };

  /** Builds a package of a version and puts it into the machine; returns its place there. */
  async function packageOf(version: string): Promise<string> {
    const script = path.join(projectRoot(), 'scripts/package-debian.mjs');
    const words = [script, '--version', version, '--out', scope.tempDir];
    const { stdout } = await run(process.execPath, words, { timeoutMs: 120_000 });
    const file = path.basename(stdout.trim());
    cpSync(path.join(scope.tempDir, file), inside(`root/${file}`));
    return `/root/${file}`;
  }

  /** As an operator would; the machine has no way to an archive, so all it needs must be there. */
  const install = (file: string) =>
    machine.exec('apt-get', ['install', '-y', file], { timeoutMs: 120_000 });

  before(async () => {
    scope = await LabScope.open();
    const [n1, n2] = [await scope.namespace('n1'), await scope.namespace('n2')];
    await buildFabric(scope, [n1, n2], { shape: 'point-to-point' });
    store = path.join(scope.tempDir, 'store');
    // Two users share it: this side's root and the machine's weft.
    for (const part of ['', 'subnets', 'leases']) {
      mkdirSync(path.join(store, part), { recursive: true });
      chmodSync(path.join(store, part), 0o777);
    }
    writeFileSync(path.join(store, 'config'), JSON.stringify(networkConfig('vxlan', [4])));
    machine = await Machine.boot(scope, {
      name: 'deb',
      namespace: n1,
      shared: { [store]: '/srv/weft' },
    });
    const peer = new WeftNode('n2', n2, underlayAddress(2), {
      store: [`--store=file:${store}`],
      tempDir: scope.tempDir,
    });
    await peer.start();
    far = await Pod.create(scope, 'p2', peer);
  });
  after(async () => {
    assert.deepEqual(await scope?.close(), []);
  });

  it('apt install, enable --now: active, notified, with a lease, as an ordinary user', async () => {
    await install(await packageOf('0.9.1'));
    const settings = 'FLANNELD_STORE=file:/srv/weft\nFLANNELD_IFACE=eth0\nFLANNELD_IP_MASQ=true\n';
    const defaults = inside('etc/default/weftd');
    writeFileSync(defaults, `${readFileSync(defaults, 'utf8')}${settings}`);
    await systemctl('enable', '--now', 'weftd');
    assert.ok(await isActive());
    const shown = await show('Type', 'User', 'StatusText', 'UnitFileState', 'NotifyAccess');
    assert.deepEqual([shown['Type'], shown['User']], ['notify', 'weft']);
    assert.equal(shown['UnitFileState'], 'enabled');
    await until('the status line', async () =>
      /1 peer/.test((await show('StatusText'))['StatusText'] ?? ''),
    );
    assert.match(await leaseFile(), /"PublicIP":"10\.99\.0\.1"/);
    const { stdout } = await machine.exec('ps', ['-o', 'user=', '-p', await mainPid()]);
    assert.equal(stdout.trim(), 'weft');
    const status = await machine.exec('weft', ['status']);
    assert.match(status.stdout, /^\S healthy /);
    const log = await machine.journal('weftd');
    assert.doesNotMatch(log, /not set|not in place|Permission denied/, log);
  });

  it('rules and device are there; pods of both nodes reach each other', async () => {
    const rules = (await machine.exec('iptables', ['-t', 'nat', '-S'])).stdout;
    assert.match(rules, /MASQUERADE/);
    assert.equal((await machine.exec('sysctl', ['-n', 'net.ipv4.ip_forward'])).stdout.trim(), '1');
    const node: LabNode = {
      name: 'n1',
      kind: 'weft',
      namespace: machine.namespace,
      underlay: underlayAddress(1),
      network: parseSubnetFile(await subnetEnv()),
      start: () => Promise.resolve(),
      stop: () => Promise.resolve(),
    };
    near = await Pod.create(scope, 'p1', node);
    await until('pods reach each other', async () => {
      return (await ping(near, far, { count: 1, waitMs: 500 })).received === 1;
    });
    assert.equal((await ping(far, near, { count: 20, intervalMs: 10 })).lossPct, 0);
  });

  it('the ordinary user has the fast path, and TCP takes it', async () => {
    const fastPath = async (): Promise<StatusPage['fastPath']> =>
      JSON.parse((await machine.exec('weft', ['status', '--json'])).stdout).fastPath;
    await until('its peers have it', async () => ((await fastPath())?.peers ?? 0) > 0);
    assert.equal((await fastPath())?.why, '');
    const bytes = 10_000_000;
    const sent = async (): Promise<number> => (await fastPath())?.counters['sentBytes'] ?? 0;
    const before = await sent();
    assert.ok((await transferHash(near, far, bytes)).equal);
    assert.ok((await sent()) - before > bytes / 2);
  });

  it('reload: the same process goes on, without loss', async () => {
    const pid = await mainPid();
    const stream = await NumberedStream.start(near, far);
    for (let i = 0; i < 5; i++) await systemctl('reload', 'weftd');
    const { sent, lost } = await stream.stop();
    assert.ok(sent > 50);
    assert.equal(lost, 0);
    assert.equal(await mainPid(), pid);
    await until('it says so', async () => /reloaded/.test(await machine.journal('weftd')));
  });

  /** Numbered streams both ways and a TCP transfer while something is done to the service. */
  async function underTraffic(what: string, disturb: () => Promise<unknown>): Promise<void> {
    const out = await NumberedStream.start(near, far);
    const back = await NumberedStream.start(far, near, { port: 7004 });
    const transfer = transferHash(far, near, 400 << 20, { timeoutMs: 120_000 });
    await sleep(300);
    await disturb();
    await until('active again', isActive, 30_000);
    assert.ok((await transfer).equal, 'the transfer is complete and right');
    const results = { out: await out.stop(), back: await back.stop() };
    console.log(`${what}: ${JSON.stringify(results)}`);
    for (const [way, { sent, lost }] of Object.entries(results)) {
      assert.ok(sent > 1000, `${way}: the stream ran`);
      assert.ok(lost <= LOST_MAX, `${way}: lost ${lost} of ${sent}`);
    }
  }

  it('restart under a TCP transfer and 1,000 packets/s both ways: at most 10 ms worth is lost', async () => {
    const lease = await leaseFile();
    await underTraffic('systemctl restart', () => systemctl('restart', 'weftd'));
    assert.equal(await leaseFile(), lease);
  });

  it('crash, kill -9: systemd starts it again with the same queues; nothing more is lost', async () => {
    await underTraffic('kill -9', () =>
      systemctl('kill', '--kill-whom=main', '--signal=SIGKILL', 'weftd'),
    );
    assert.equal((await show('NRestarts'))['NRestarts'], '1');
  });

  const threads = async (): Promise<Record<string, string>[]> => {
    const pid = await mainPid();
    const { stdout } = await machine.exec('sh', ['-c', `cat /proc/${pid}/task/*/status`]);
    return stdout
      .split(/^(?=Name:)/m)
      .map((text) => Object.fromEntries(text.split('\n').map((line) => line.split(/:\s*/, 2))));
  };

  it('what the service has given up: capabilities and calls of workers, files, memory', async () => {
    const status = JSON.parse((await machine.exec('weft', ['status', '--json'])).stdout);
    console.log(JSON.stringify(status.hardening));
    for (const worker of status.workers)
      assert.deepEqual([worker.capabilities, worker.seccomp], ['dropped', 'on']);
    assert.deepEqual([status.hardening.noDump, status.hardening.noRings], ['on', 'on']);
    assert.match(status.hardening.files, /^on: Landlock /);
    const none = (await threads()).filter(({ CapPrm, CapEff, CapAmb }) =>
      [CapPrm, CapEff, CapAmb].every((set) => /^0+$/.test(set ?? '')),
    );
    assert.equal(none.length, status.workers.length);
    const limits = await show('MemoryMax', 'TasksMax', 'LimitNOFILE', 'LimitCORE');
    assert.match(limits['MemoryMax'] ?? '', /^\d+$/);
    delete limits['MemoryMax'];
    assert.deepEqual(limits, { TasksMax: '512', LimitNOFILE: '16384', LimitCORE: '0' });
    // Nobody but root reads the environment, which may hold a password.
    const { stdout } = await machine.exec('stat', ['-c', '%U', `/proc/${await mainPid()}/environ`]);
    assert.equal(stdout.trim(), 'root');
  });

  const restartWith = async (...lines: string[]): Promise<void> => {
    mkdirSync(path.dirname(inside(DROP_IN)), { recursive: true });
    writeFileSync(inside(DROP_IN), ['[Service]', ...lines, ''].join('\n'));
    await systemctl('daemon-reload');
    await systemctl('restart', 'weftd');
  };

  it('a worker that hangs is replaced before the watchdog ends the service', async () => {
    await restartWith('Environment=WEFT_FAULTS=1');
    const pid = await mainPid();
    const get = `require('http').get({socketPath:'/run/weft/weft.sock',path:'/fault?worker=0&fault=hang'},(r)=>r.resume())`;
    await machine.exec('node', ['-e', get]);
    await until('the worker runs again', async () => {
      const { stdout } = await machine.exec('weft', ['status', '--json'], { allowFailure: true });
      const [worker] = JSON.parse(stdout).workers;
      return worker.restarts === 1 && worker.state === 'running';
    });
    assert.equal(await mainPid(), pid);
    await until('packets again', async () => (await ping(near, far, { count: 1 })).received === 1);
  });

  it('a daemon that stands still: systemd kills it by its watchdog and starts it again', async () => {
    // The unit's 30 s are for machines under load; the test need not wait that long.
    await restartWith('WatchdogSec=6');
    const pid = await mainPid();
    await systemctl('kill', '--kill-whom=main', '--signal=SIGSTOP', 'weftd');
    await until(
      'another process',
      async () => (await isActive()) && (await mainPid()) !== pid,
      60_000,
    );
    const log = (await machine.exec('journalctl', ['-u', 'weftd', '-o', 'cat'])).stdout;
    assert.match(log, /Watchdog timeout/);
    await until('packets again', async () => (await ping(near, far, { count: 1 })).received === 1);
  });

  it('bad settings: the unit fails with the reason, and is not started again and again', async () => {
    writeFileSync(inside(DROP_IN), '[Service]\nEnvironment=FLANNELD_SOURCE_CHECK=perhaps\n');
    await systemctl('daemon-reload');
    const failed = await machine.exec('systemctl', ['restart', 'weftd'], { allowFailure: true });
    assert.notEqual(failed.code, 0);
    const shown = await show('ActiveState', 'Result', 'ExecMainStatus', 'NRestarts');
    assert.deepEqual(shown, {
      ActiveState: 'failed',
      Result: 'exit-code',
      ExecMainStatus: '2',
      NRestarts: '0',
    });
    assert.match(await machine.journal('weftd'), /--source-check perhaps: must be one of/);
    await machine.exec('rm', [DROP_IN]);
    await systemctl('daemon-reload');
    await systemctl('restart', 'weftd');
  });

  it('upgrade under traffic: the new version runs, with the same lease and MAC', async () => {
    const lease = await leaseFile();
    const pid = await mainPid();
    const file = await packageOf('0.9.2');
    await underTraffic('apt install of the next version', () => install(file));
    assert.notEqual(await mainPid(), pid);
    assert.equal(await leaseFile(), lease);
    const { stdout } = await machine.exec('dpkg-query', ['-W', '-f', `\${Version}`, 'weft']);
    assert.equal(stdout, '0.9.2');
    assert.match(readFileSync(inside('etc/default/weftd'), 'utf8'), /^FLANNELD_IFACE=eth0$/m);
  });

  it('systemd-analyze security: what the docs promise', async () => {
    const { stdout } = await machine.exec('systemd-analyze', [
      'security',
      '--no-pager',
      'weftd.service',
    ]);
    const score = /Overall exposure level for weftd\.service: ([\d.]+)/.exec(stdout)?.[1];
    console.log(`exposure level: ${score}`);
    assert.ok(Number(score) <= EXPOSURE_MAX, stdout);
    const page = readFileSync(path.join(projectRoot(), 'docs/operations/install.md'), 'utf8');
    assert.ok(page.includes(`exposure level ${score}`), `docs/operations/install.md: ${score}`);
    const verify = await machine.exec('systemd-analyze', ['verify', 'weftd.service'], {
      allowFailure: true,
    });
    // This Debian has no man pages; the test of the pages is another.
    const complaints = verify.stderr.split('\n').filter((line) => !line.includes("Command 'man "));
    assert.doesNotMatch(complaints.join('\n'), /weftd\.service/);
  });

  it('stop leaves subnet.env and the lease; removal leaves nothing of the program, purge nothing at all', async () => {
    await systemctl('stop', 'weftd');
    assert.equal((await show('Result'))['Result'], 'success');
    assert.match(await subnetEnv(), /FLANNEL_SUBNET=/);
    assert.ok((await leaseFile()).length > 0);
    await machine.exec('apt-get', ['remove', '-y', 'weft'], { timeoutMs: 60_000 });
    for (const file of ['usr/lib/weft', 'usr/bin/weftd', 'usr/lib/systemd/system/weftd.service'])
      await assert.rejects(machine.exec('ls', [`/${file}`]), file);
    const links = (await machine.exec('ip', ['-o', 'link'])).stdout;
    assert.doesNotMatch(links, /flannel/);
    assert.doesNotMatch((await machine.exec('iptables-save', [])).stdout, /FLANNEL|weft/i);
    assert.ok(readdirSync(inside('etc/default')).includes('weftd'));
    await machine.exec('apt-get', ['purge', '-y', 'weft'], { timeoutMs: 60_000 });
    await assert.rejects(machine.exec('ls', ['/etc/default/weftd', '/var/lib/weft']));
  });
});
