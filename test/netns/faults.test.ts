/** What must not stop traffic, and what must stop the daemon with a clear word: real daemons in namespaces. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../lab/command.ts';
import { Lab } from '../../lab/lab.ts';
import { projectBinary } from '../../lab/root.ts';
import { ping } from '../../lab/traffic.ts';
import { needs } from '../support/needs.ts';
import { adminPage, statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

describe('netns: faults while pods talk', () => {
  let lab: Lab;
  const first = () => {
    const node = lab.weftNodes[0];
    assert.ok(node);
    return node;
  };
  const status = () => statusOf(first());
  const pings = async (): Promise<number> =>
    (await ping(lab.pod(0), lab.pod(1), { count: 20 })).lossPct;

  before(async () => {
    process.env['WEFT_FAULTS'] = '1';
    lab = await Lab.build({ nodes: [{ kind: 'weft' }, { kind: 'weft' }], workers: 2 });
  });
  after(() => lab?.close());

  it('a killed worker comes back, totals do not run backwards, the other goes on', async () => {
    const earlier = await status();
    await adminPage(first().adminSocket, '/fault?worker=0');
    await until('the worker was restarted', async () => {
      const { workers } = await status();
      return workers[0]?.restarts === 1 && workers[0].state === 'running';
    });
    assert.equal(await pings(), 0);
    const later = await status();
    for (const [name, value] of Object.entries(earlier.counters)) {
      assert.ok((later.counters[name] ?? 0) >= value, name);
    }
    assert.equal(later.workers[1]?.restarts, 0);
  });

  it('the store emptied, filled with junk, restored: traffic loses nothing', async () => {
    const subnets = path.join(lab.storeDir, 'subnets');
    const saved = `${lab.storeDir}.saved`;
    cpSync(lab.storeDir, saved, { recursive: true });
    const loss = ping(lab.pod(0), lab.pod(1), { count: 300 });
    // Renamed, not removed: the nodes put their keys back while a slow removal runs.
    renameSync(lab.storeDir, `${lab.storeDir}.away`);
    await until('the node notices that the store is away', async () => !(await status()).store.ok);
    mkdirSync(subnets, { recursive: true });
    await sleep(1500);
    cpSync(saved, lab.storeDir, { recursive: true });
    for (const [name, text] of [
      ['hello', 'junk'],
      ['10.244.250.0-24', '{"PublicIP":3}'],
      ['10.244.251.0-24', '\u0000\u0001'],
      ['10.244.252.0-24&x', '{}'],
    ] as const) {
      writeFileSync(path.join(subnets, name), text);
    }
    assert.equal((await loss).lossPct, 0);
    await until('healthy with one peer', async () => {
      const now = await status();
      return now.healthy && now.peers.total === 1 && now.peers.held === 0;
    });
    assert.equal(await pings(), 0);
  });

  it('SIGHUP reloads without loss', async () => {
    const loss = ping(lab.pod(0), lab.pod(1), { count: 100 });
    for (let i = 0; i < 5; i++) {
      first().signal('SIGHUP');
      await sleep(200);
    }
    assert.equal((await loss).lossPct, 0);
  });

  it('UDP-6, RES-1 subnet and MAC survive a restart, and so does one by SIGKILL', async () => {
    const lease = (await status()).lease.key;
    const value = () => run('cat', [path.join(lab.storeDir, 'subnets', lease)]);
    const before = (await value()).stdout;
    await first().restart();
    assert.equal((await status()).lease.key, lease);
    await first().kill();
    await first().start();
    assert.equal((await status()).lease.key, lease);
    assert.equal((await value()).stdout, before);
    await lab.waitForPeers();
  });
});

describe('netns: starts that must fail say why', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [{ kind: 'weft' }], waitForPeers: false });
    await lab.weftNodes[0]?.stop();
  });
  after(() => lab?.close());

  const daemon = async (
    prefix: string[],
    ...flags: string[]
  ): Promise<{ code: number; text: string }> => {
    const space = lab.weftNodes[0]?.namespace;
    assert.ok(space);
    const folder = path.join(lab.storeDir, '..');
    const all = [
      `--store=file:${lab.storeDir}`,
      `--subnet-file=${folder}/e.env`,
      `--state-dir=${folder}/e`,
      `--admin-socket=${folder}/e.sock`,
      ...(flags.length > 0 ? flags : ['--iface=eth0']),
    ];
    const [command, ...rest] = [...prefix, process.execPath, projectBinary('weftd'), ...all];
    const done = await space.exec(command as string, rest, {
      allowFailure: true,
      timeoutMs: 20_000,
    });
    return { code: done.code ?? -1, text: done.stdout + done.stderr };
  };

  it('without CAP_NET_ADMIN: exit 77', async () => {
    const { code, text } = await daemon(['setpriv', '--inh-caps=-all', '--bounding-set=-all']);
    assert.equal(code, 77, text);
    assert.match(text, /root|CAP_NET_ADMIN/);
  });

  it('with the port held by a kernel vxlan device: exit 71, names it and how to remove it', async () => {
    const space = lab.weftNodes[0]?.namespace;
    await space?.ip(
      'link',
      'add',
      'vx9',
      'type',
      'vxlan',
      'id',
      '9',
      'dev',
      'eth0',
      'dstport',
      '8472',
    );
    await space?.ip('link', 'set', 'vx9', 'up');
    const { code, text } = await daemon([]);
    await space?.ip('link', 'delete', 'vx9');
    assert.equal(code, 71, text);
    assert.match(text, /ip link delete vx9/);
  });

  it('with a wrong interface: exit 1, lists what there is', async () => {
    const { code, text } = await daemon([], '--iface=nosuch0');
    assert.equal(code, 1, text);
    assert.match(text, /nosuch0.*eth0/s);
  });

  it('with an unknown flag: exit 2, names it', async () => {
    const { code, text } = await daemon([], '--nosuch=1');
    assert.equal(code, 2, text);
    assert.match(text, /nosuch/);
  });
});
