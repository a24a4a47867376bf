/** weft-keeper alone: its protocol, its bounds, who may ask it, and when it lets go. The addon sends as weftd does. */
import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LabProcess } from '../../lab/process.ts';
import { loadAddon } from '../../src/memory/addon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { SANITIZED_KEEPER as KEEPER } from '../support/keeper.ts';
import { needs } from '../support/needs.ts';

const { test } = needs('cc');
const asRoot = needs('root');

const addon = loadAddon();

/** A keeper, with files to be kept. */
class Bench {
  readonly socket: string;
  readonly folder: string;
  readonly keeper: LabProcess;

  private constructor(folder: string, flags: readonly string[]) {
    this.folder = folder;
    this.socket = path.join(folder, 'keeper.sock');
    this.keeper = new LabProcess(KEEPER, ['keep', `--socket=${this.socket}`, ...flags]);
  }

  static async start(t: TestContext, ...flags: string[]): Promise<Bench> {
    const bench = new Bench(await temporaryFolder(t), flags);
    t.after(() => bench.keeper.stop());
    await bench.says(/listens at/);
    return bench;
  }

  says(pattern: RegExp): Promise<unknown> {
    return this.keeper.waitForOutput(pattern);
  }

  count(pattern: RegExp): number {
    return this.keeper.output.split('\n').filter((line) => pattern.test(line)).length;
  }

  /** As weftd's descriptor store does it. */
  notify(text: string, fd?: number): void {
    process.env['NOTIFY_SOCKET'] = this.socket;
    try {
      addon.notify(text, fd);
    } finally {
      delete process.env['NOTIFY_SOCKET'];
    }
  }

  /** Gives it a file that has its name in it; the keeper alone has it open then. */
  keep(name: string): void {
    const file = path.join(this.folder, `${name}.kept`);
    writeFileSync(file, name);
    const fd = openSync(file, 'r');
    this.notify(`FDSTORE=1\nFDNAME=${name}\nFDPOLL=0`, fd);
    closeSync(fd);
  }

  ask(...words: string[]): SpawnSyncReturns<string> {
    const [command = '', ...rest] = words;
    return spawnSync(KEEPER, [command, `--socket=${this.socket}`, ...rest], { encoding: 'utf8' });
  }

  /** Names as a service sees them. */
  names(): string[] {
    const { stdout, stderr } = this.ask('run', '--', 'sh', '-c', 'echo "$LISTEN_FDNAMES"');
    assert.equal(stderr, '');
    return stdout
      .trim()
      .split(':')
      .filter((name) => name !== '');
  }
}

test('what was kept is there for the next process, as systemd hands it over', async (t) => {
  const bench = await Bench.start(t);
  // More than one part of an answer has room for.
  const names = Array.from({ length: 70 }, (_, i) => `tun-4-${i}`);
  for (const name of names) bench.keep(name);
  assert.deepEqual(bench.names(), names);
  const script =
    'cat /proc/self/fd/3; echo; cat /proc/self/fd/72; echo; echo "$LISTEN_FDS $(($LISTEN_PID - $$)) $NOTIFY_SOCKET"';
  const { stdout, status } = bench.ask('run', '--', 'sh', '-c', `${script}; exit 7`);
  assert.deepEqual(stdout.trim().split('\n'), ['tun-4-0', 'tun-4-69', `70 0 ${bench.socket}`]);
  assert.equal(status, 7, 'the command itself, not a child');
});

test('a name is let go of, and everything else that a service says changes nothing', async (t) => {
  const bench = await Bench.start(t);
  for (const name of ['a', 'b', 'a']) bench.keep(name);
  for (const text of ['READY=1', 'STOPPING=1', 'WATCHDOG=1', 'STATUS=FDSTOREREMOVE=1', '', '\n\n'])
    bench.notify(text);
  bench.notify('FDSTOREREMOVE=1\nFDNAME=nobody');
  assert.deepEqual(bench.names(), ['a', 'b', 'a']);
  bench.notify('FDSTOREREMOVE=1\nFDNAME=a');
  assert.deepEqual(bench.names(), ['b']);
});

test('a low limit of open files: it keeps what that allows, unless a number was asked for', async (t) => {
  const socket = `--socket=${path.join(await temporaryFolder(t), 'keeper.sock')}`;
  const keeper = new LabProcess('prlimit', ['--nofile=600:600', KEEPER, 'keep', socket]);
  t.after(() => keeper.stop());
  const [, room = ''] = await keeper.waitForOutput(/keeps up to (\d+) descriptors/);
  assert.ok(Number(room) > 256 && Number(room) < 600, room);
  const refused = spawnSync('prlimit', ['--nofile=600:600', KEEPER, 'keep', socket, '--max=512']);
  assert.equal(refused.status, 1);
  assert.match(`${refused.stderr}${refused.stdout}`, /--max and ulimit/);
});

test('a command gets all of them whatever its soft limit of open files was', async (t) => {
  const bench = await Bench.start(t);
  for (let i = 0; i < 200; i++) {
    bench.keep(`tun-4-${i}`);
    // It waits until we read what it says.
    if (i % 20 === 0) await sleep(1);
  }
  const run = [KEEPER, 'run', `--socket=${bench.socket}`, '--', 'sh', '-c', 'echo $LISTEN_FDS'];
  const { stdout, stderr } = spawnSync('prlimit', ['--nofile=256:4096', ...run]);
  assert.equal(`${stdout}${stderr}`, '200\n');
});

test('bounds: number, length of a message, names', async (t) => {
  const bench = await Bench.start(t, '--max=2');
  const openFds = (): number => readdirSync(`/proc/${bench.keeper.pid}/fd`).length;
  const before = openFds();
  for (const name of ['a', 'b', 'c']) bench.keep(name);
  await bench.says(/full: a descriptor is not kept \(see --max\)/);
  bench.notify('FDSTOREREMOVE=1\nFDNAME=b');
  for (const text of [
    `FDSTORE=1\nFDNAME=long\n${'x'.repeat(2048)}`,
    'FDSTORE=1\nFDNAME=with:colon',
    'FDSTORE=1\nFDNAME=with blank',
    'FDSTORE=1\nFDNAME=\u001b[31m',
    'FDSTORE=1\nFDNAME=',
    `FDSTORE=1\nFDNAME=${'n'.repeat(64)}`,
  ])
    bench.notify(text, 0);
  bench.notify('FDSTORE=1\nFDNAME=without-descriptor');
  bench.notify('WEFT_FETCH=1');
  bench.notify(`FDSTORE=1\nFDNAME=${'n'.repeat(63)}`, 0);
  assert.deepEqual(bench.names(), ['a', 'n'.repeat(63)]);
  assert.equal(openFds(), before + 2, 'what was refused is closed');
  await bench.says(/handed over 2/);
  assert.ok(!bench.keeper.output.includes('\u001b'));
});

test('lines about bad messages are few, however many there are', async (t) => {
  const bench = await Bench.start(t);
  for (let i = 0; i < 300; i++) bench.notify('FDNAME=a:b');
  assert.deepEqual(bench.names(), []);
  await bench.says(/handed over 0/);
  const said = bench.count(/refused a message/);
  assert.ok(said > 0 && said < 100, `${said} lines`);
});

test('what is kept is used by one process at a time', async (t) => {
  const bench = await Bench.start(t);
  bench.keep('a');
  const user = new LabProcess(KEEPER, ['run', `--socket=${bench.socket}`, '--', 'sleep', '300']);
  t.after(() => user.stop());
  await bench.says(/handed over 1/);
  const second = bench.ask('run', '--wait=100ms', '--', 'true');
  assert.equal(second.status, 75);
  assert.match(second.stderr, /^weft-keeper: what the keeper at .* holds is in use by another/);
  const waiting = new LabProcess(KEEPER, [
    ...['run', `--socket=${bench.socket}`, '--wait=1h', '--'],
    ...['sh', '-c', 'echo "$LISTEN_FDNAMES"'],
  ]);
  await user.kill();
  await waiting.waitForOutput(/^a$/m);
});

test('no keeper: one line says it, and the command runs as with one that holds nothing', async (t) => {
  const folder = await temporaryFolder(t);
  const run = (socket: string, ...command: string[]) =>
    spawnSync(KEEPER, ['run', `--socket=${socket}`, '--', ...command], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] },
    });
  const socket = path.join(folder, 'keeper.sock');
  const none = run(socket, 'sh', '-c', 'echo "$NOTIFY_SOCKET $LISTEN_FDS $WEFT_KEEPER"; exit 3');
  assert.deepEqual([none.status, none.stdout], [3, `${socket} 0 1\n`]);
  assert.match(none.stderr, /^weft-keeper: no keeper at .*keeper\.sock \(No such file.*\n$/);
  // Where none can be, there is nothing to be told.
  const never = run(path.join(folder, 'none/keeper.sock'), 'sh', '-c', 'env');
  assert.match(never.stderr, /^weft-keeper: there can be no keeper at .*\n$/);
  assert.doesNotMatch(never.stdout, /LISTEN|NOTIFY|KEEPER/);
  assert.equal(run(socket, '/nonexistent').status, 127);
});

test('a second keeper is refused; one that was killed is succeeded', async (t) => {
  const bench = await Bench.start(t);
  const second = bench.ask('keep');
  assert.equal(second.status, 1);
  assert.match(second.stderr, /^weft-keeper: another keeper has /);
  bench.keep('a');
  assert.deepEqual(bench.names(), ['a']);
  await bench.keeper.kill();
  const next = new LabProcess(KEEPER, ['keep', `--socket=${bench.socket}`]);
  t.after(() => next.stop());
  await next.waitForOutput(/listens at/);
  assert.deepEqual(bench.names(), []);
});

test('a file that is no socket is not removed for it', async (t) => {
  const folder = await temporaryFolder(t);
  const file = path.join(folder, 'precious');
  writeFileSync(file, 'content');
  const { status, stderr } = spawnSync(KEEPER, ['keep', `--socket=${file}`], { encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /cannot listen at .*precious: Address already in use/);
  assert.ok(existsSync(file));
});

test('SIGTERM ends it: socket and descriptors go', async (t) => {
  const bench = await Bench.start(t);
  assert.equal(statSync(bench.socket).mode & 0o777, 0o600);
  bench.keep('a');
  await bench.says(/keeps a/);
  await bench.keeper.stop(30_000);
  assert.equal(bench.keeper.exit, 'exit code 0');
  assert.match(bench.keeper.output, /ends, let go of 1/);
  assert.ok(!existsSync(bench.socket));
});

test('drop empties it, and says of how many', async (t) => {
  const bench = await Bench.start(t);
  for (const name of ['a', 'b']) bench.keep(name);
  const dropped = bench.ask('drop');
  assert.deepEqual([dropped.status, dropped.stdout], [0, 'let go of 2\n']);
  assert.deepEqual(bench.names(), []);
  await bench.keeper.stop();
  const alone = bench.ask('drop');
  assert.equal(alone.status, 1);
  assert.match(alone.stderr, /no answer of a keeper at .*: No such file or directory/);
});

test('what nobody uses is let go of after the time that it is held', async (t) => {
  const bench = await Bench.start(t, '--hold=300ms');
  bench.keep('a');
  const user = new LabProcess(KEEPER, ['run', `--socket=${bench.socket}`, '--', 'sleep', '300']);
  t.after(() => user.stop());
  await bench.says(/handed over 1/);
  await sleep(1_000);
  assert.equal(bench.count(/nobody came/), 0, 'it is used');
  await user.kill();
  await bench.says(/let go of 1: nobody came for them in time/);
  assert.deepEqual(bench.names(), []);
});

asRoot.test('another user is refused, whatever the mode of the socket', async (t) => {
  const bench = await Bench.start(t);
  bench.keep('a');
  await bench.says(/keeps a/);
  for (const file of [bench.folder, bench.socket, `${bench.socket}.lock`]) chmodSync(file, 0o777);
  const words = ['--reuid=65534', '--clear-groups', KEEPER, 'drop', `--socket=${bench.socket}`];
  const { status, stderr } = spawnSync('setpriv', words, { encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /no answer of a keeper/);
  await bench.says(/refused a message of another user/);
  assert.deepEqual(bench.names(), ['a']);
});

test('a wrong command line says what is wrong', () => {
  for (const [words, said] of [
    [[], /a command is missing/],
    [['hold'], /the commands are keep, run and drop/],
    [['keep', '--nonsense'], /an option is wrong/],
    [['keep', '--socket=here.sock'], /--socket is an absolute path/],
    [['keep', '--max=0'], /--max is a number from 1 to 512/],
    [['keep', '--max=2x'], /--max is a number from 1 to 512/],
    [['keep', '--hold=0s'], /--hold is a time from 1ms to 24h/],
    [['keep', '--hold=25h'], /--hold is a time from 1ms to 24h/],
    [['keep', '--hold=10'], /--hold is a time from 1ms to 24h/],
    [['keep', 'more'], /keep takes no --wait and no words/],
    [['run', '--wait=soon', '--', 'true'], /--wait is a time from 0s to 24h/],
    [['run'], /run wants a command/],
    [['drop', '--max=3'], /drop takes --socket only/],
  ] as const) {
    const { status, stderr } = spawnSync(KEEPER, words, { encoding: 'utf8' });
    assert.equal(status, 64, words.join(' '));
    assert.match(stderr, said);
  }
  const help = spawnSync(KEEPER, ['--help'], { encoding: 'utf8' });
  assert.equal(help.status, 0);
  assert.match(help.stdout, /^usage: weft-keeper keep/);
});
