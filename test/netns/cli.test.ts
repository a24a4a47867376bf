/** The command line against real daemons: what --json promises, routes, top in a real terminal, the first lines of the log. */
import assert from 'node:assert/strict';
import { existsSync, renameSync } from 'node:fs';
import path from 'node:path';
import { run } from '../../lab/command.ts';
import { Lab } from '../../lab/lab.ts';
import { projectBinary } from '../../lab/root.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { commandsOf } from '../../src/cli/command-tree.ts';
import { createProgram } from '../../src/cli/commands/all.ts';
import { askPage, checkRefusals } from '../support/admin-contract.ts';
import { needs } from '../support/needs.ts';
import { adminPage } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, afterEach, before, describe, it } = needs('root');

describe('netns: command line', () => {
  let lab: Lab;
  const node = (i: number): WeftNode => lab.weftNodes[i] as WeftNode;
  const weft = (...args: string[]) =>
    run(process.execPath, [projectBinary('weft'), ...args], { allowFailure: true });
  const socket = (i: number): string => `--admin-socket=${node(i).adminSocket}`;
  const json = async (...args: string[]): Promise<Record<string, unknown>> => {
    const { stdout, stderr } = await weft(...args, '--json', socket(0));
    assert.equal(stderr, '');
    return JSON.parse(stdout) as Record<string, unknown>;
  };

  before(async () => {
    const weftNode = { kind: 'weft' } as const;
    lab = await Lab.build({ nodes: [weftNode, { kind: 'kernel' }], workers: 2 });
  });
  after(() => lab?.close());

  it('what --json prints has the promised shape, with schemaVersion', async () => {
    const report = path.join(lab.scope.tempDir, 'report.tar.gz');
    const calls: Record<string, string[]> = {
      'routes get': [lab.pod(1).address4 as string],
      top: ['--count=1'],
      bugreport: ['-o', report],
    };
    // These change things, need a second end, send probes, or ask no daemon: they have tests of their own.
    const others = ['bench', 'cleanup', 'ping', 'doctor', 'cni gc'];
    const shapes = new Map(
      commandsOf(createProgram(() => undefined)).map(({ path: name, shape }) => [name, shape]),
    );
    for (const [name, shape] of shapes) {
      if (!shape || others.includes(name)) continue;
      const answer = await json(...name.split(' '), ...(calls[name] ?? []));
      const { success, error } = shape.safeParse(answer);
      assert.ok(success, `${name}: ${error?.message}`);
      assert.equal(answer['schemaVersion'], 1, name);
    }
    assert.ok(existsSync(report));
  });

  it("every page holds to the daemon's own OpenAPI document", async () => {
    const { adminSocket } = node(0);
    const { peers } = await askPage(adminSocket, '/peers', {});
    const [peer] = peers;
    assert.ok(peer);
    for (const page of [
      '/status',
      '/history',
      '/config',
      '/drops',
      '/reach',
      '/openapi.json',
    ] as const)
      await askPage(adminSocket, page, {});
    const address = lab.pod(1).address4 as string;
    assert.equal((await askPage(adminSocket, '/routes', { address })).way, 'peer');
    const { echoes } = await askPage(adminSocket, '/ping', { peer: peer.key, count: 2 });
    assert.deepEqual(
      echoes.map(({ state }) => state),
      ['answered', 'answered'],
    );
    await askPage(adminSocket, '/capture', { seconds: 1 });
    await askPage(adminSocket, '/capture/summary', {});
    await askPage(adminSocket, '/capture/stop', {});
    await checkRefusals(adminSocket);
  });

  it('status: rates and table are told, nothing is amiss', async () => {
    await until('rates', async () => {
      const { rates } = await json('status');
      return (rates as { seconds: number }).seconds >= 2;
    });
    const { health, table, healthy } = await json('status');
    assert.deepEqual([health, healthy], [[], true]);
    assert.ok((table as { generation: number }).generation >= 1);
  });

  it('routes get: the way that packets really take', async () => {
    const [peer, own] = [lab.pod(1).address4 as string, lab.pod(0).address4 as string];
    const toPeer = await json('routes', 'get', peer);
    const { encapsulation, underlay, way, mtu } = toPeer as Record<string, Record<string, unknown>>;
    assert.deepEqual([way, mtu], ['peer', 1450]);
    assert.equal(encapsulation?.['destination'], lab.kernelNodes[0]?.underlay.address4);
    const link = await lab.kernelNodes[0]?.namespace.ip('-j', 'link', 'show', 'flannel.1');
    const [device] = JSON.parse(link?.stdout ?? '[]') as { address: string }[];
    assert.equal(encapsulation?.['destinationMac'], device?.address, "the kernel's own VTEP MAC");
    assert.equal(underlay?.['device'], 'eth0');
    assert.equal((await json('routes', 'get', own))['way'], 'own');
    assert.equal((await json('routes', 'get', '10.244.0.1'))['way'], 'unleased');
    assert.equal((await json('routes', 'get', '192.0.2.1'))['way'], 'outside');
    assert.equal((await weft('routes', 'get', '10.244.0.1', socket(0))).code, 1);
    const bad = await weft('routes', 'get', 'nonsense', socket(0));
    assert.match(bad.stderr, /"nonsense" is not an IP address/);
  });

  it('config show: the origin of each option', async () => {
    const { options } = await json('config', 'show');
    const of = (name: string) =>
      (options as { name: string; origin: string }[]).find((option) => option.name === name)
        ?.origin;
    assert.deepEqual([of('iface'), of('v')], ['flag', 'default']);
    const { stdout } = await weft('config', 'show', '--origin', socket(0));
    assert.match(stdout, /--workers +2 +flag\n/);
  });

  it('history: one sample a second, newest last', async () => {
    const page = JSON.parse(await adminPage(node(0).adminSocket, '/history'));
    const times = page.samples.map(({ at }: { at: string }) => at);
    assert.ok(times.length >= 2);
    assert.deepEqual([...times].sort(), times);
  });

  it('the first lines of the log tell everything about the node', () => {
    const lines = node(0)
      .log.trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const find = (message: RegExp): Record<string, unknown> => {
      const line = lines.find(({ msg }) => message.test(String(msg)));
      assert.ok(line, `${message} in ${node(0).log}`);
      return line;
    };
    assert.match(String(lines[0]?.['msg']), /^starting weft \d+\.\d+\.\d+$/);
    assert.equal(lines[0]?.['node'], process.version);
    const underlay = find(/^using eth0 as underlay \(matches --iface eth0\)$/);
    assert.deepEqual([underlay['mtu'], underlay['publicIp']], [1500, node(0).underlay.address4]);
    assert.ok(Array.isArray(find(/^data plane opened$/)['offloads']));
    const lease = find(/^lease acquired$/);
    assert.ok(Date.parse(String(lease['expiresAt'])) > Date.now());
    const ready = find(/^ready$/);
    assert.deepEqual(
      ['backend', 'interface', 'lease', 'mtu', 'workers'].map((name) => ready[name]),
      ['vxlan', 'eth0', lease['key'], 1450, 2],
    );
    assert.ok(lines.length < 15, 'and no more than that');
  });

  it('a store that is away is told with advice, once it lasts, and not any more when it is back', async () => {
    const aside = `${lab.storeDir}.aside`;
    const codes = async (): Promise<string[]> =>
      ((await json('status'))['health'] as { code: string }[]).map(({ code }) => code);
    renameSync(lab.storeDir, aside);
    try {
      await until('store-away', async () => (await codes()).includes('store-away'));
      const { code, stdout } = await weft('status', socket(0));
      assert.equal(code, 0, 'forwarding goes on');
      assert.match(stdout, /! The store has not answered for \d+s\n[\s\S]* → check the store/);
    } finally {
      renameSync(aside, lab.storeDir);
    }
    await until('store back', async () => (await codes()).length === 0);
  });

  describe('top in a terminal', () => {
    // A server that is told to end may still answer the next one's call: each test has its own.
    let servers = 0;
    let server = '';
    const tmux = async (...args: string[]): Promise<string> =>
      (await run('tmux', ['-L', server, ...args])).stdout;
    const screen = (): Promise<string> => tmux('capture-pane', '-p', '-t', 'top');
    const shows = (what: RegExp) => until(String(what), async () => what.test(await screen()));
    const keys = (...names: string[]) => tmux('send-keys', '-t', 'top', ...names);
    // Short, so that it does not push the lines before it off a small screen.
    const modes = `stty -a | tr ' ' '\\n' | grep -x -e '-*icanon' -e '-*echo' | tr '\\n' ' '`;
    const start = (): Promise<string> => {
      server = `weft-top-${process.pid}-${++servers}`;
      const program = `${process.execPath} ${projectBinary('weft')} top ${socket(0)}`;
      const command = `echo before; ${program}; echo "ended with $?"; ${modes}; exec cat`;
      return tmux(
        '-f',
        '/dev/null',
        'new-session',
        '-d',
        '-s',
        'top',
        '-x',
        '100',
        '-y',
        '40',
        command,
      );
    };
    afterEach(() => run('tmux', ['-L', server, 'kill-server'], { allowFailure: true }));

    it('draws, pauses, scrolls, sorts, follows the size, and gives the terminal back', async () => {
      await start();
      await shows(/weft top {2}● healthy .* LIVE/);
      assert.match(await screen(), new RegExp(`${lab.kernelNodes[0]?.underlay.address4}`));
      await keys('Space');
      await shows(/PAUSED/);
      await keys('Left');
      await shows(/PAUSED -\d+s/);
      await keys('s');
      await shows(/PEER▾/);
      await keys('Space');
      await shows(/LIVE/);
      await tmux('resize-window', '-t', 'top', '-x', '60', '-y', '15');
      await until('15 lines', async () => {
        const lines = (await screen()).trimEnd().split('\n');
        return /^space/.test(lines.at(-1) ?? '') && lines.length <= 15;
      });
      await keys('q');
      await shows(/^before\nended with 0\nicanon echo/);
    });

    it('SIGTERM leaves the terminal as it was', async () => {
      await start();
      await shows(/LIVE/);
      const pane = (await tmux('list-panes', '-t', 'top', '-F', '#{pane_pid}')).trim();
      const { stdout } = await run('ps', ['-o', 'pid=', '--ppid', pane]);
      process.kill(Number(stdout.trim().split('\n')[0]), 'SIGTERM');
      await shows(/^before\nended with 0\nicanon echo/);
    });
  });
});

describe('netns: routes get with plain routes', () => {
  it('DirectRouting: neighbours are reached without encapsulation', async () => {
    const node = { kind: 'weft' } as const;
    const lab = await Lab.build({ nodes: [node, node], backendOptions: { DirectRouting: true } });
    try {
      const [first, second] = lab.weftNodes as [WeftNode, WeftNode];
      const address = lab.pod(1).address4 as string;
      const page = await adminPage(first.adminSocket, `/routes?address=${address}`);
      const { way, kernel, encapsulation } = JSON.parse(page);
      assert.deepEqual([way, encapsulation], ['direct', null]);
      assert.deepEqual([kernel.device, kernel.gateway], ['eth0', second.underlay.address4]);
    } finally {
      await lab.close();
    }
  });
});
