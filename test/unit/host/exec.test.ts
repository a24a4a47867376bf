/** Commands by Node and by the addon: the same results and the same errors, and nothing is left behind. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { exec, execBy, runByNode, runCommandsBy, SURROUNDINGS } from '../../../src/host/exec.ts';
import { nativeRunner } from '../../../src/host/native-exec.ts';
import { loadAddon } from '../../../src/memory/addon.ts';
import type { WeftError } from '../../../src/shared/errors.ts';

const addon = loadAddon();
const RUNNERS = { node: runByNode, native: nativeRunner(addon) };
const LARGE = 'x'.concat('é'.repeat(2_000_000));

/** What a caller of exec can see. */
type Outcome = string | Record<string, unknown>;

interface Case {
  what: string;
  words: [string, ...string[]];
  input?: string;
  /** ms */
  timeout?: number;
  maxBuffer?: number;
  outcome: Outcome;
}

const script = (text: string): [string, ...string[]] => ['sh', '-c', text];

/** Of a script that ended with an error. */
const failed = (text: string, said: string, cause: object): Outcome => ({
  code: 'ERR_COMMAND',
  message: `sh -c ${text}: ${said}`,
  ...{ status: null, killed: false, signal: null, stdout: '', stderr: '', cmd: `sh -c ${text}` },
  ...cause,
});

const notStarted = (command: string, code: string, message: string): Outcome => ({
  ...{ code, message: `${command} : ${message}` },
  status: code === 'ERR_COMMAND_MISSING' ? 'ENOENT' : 'EACCES',
});

const CASES: readonly Case[] = [
  { what: 'output', words: script('echo one; echo two >&2'), outcome: 'one\n' },
  { what: 'input', words: ['cat'], input: 'é\n', outcome: 'é\n' },
  { what: 'no input is an end', words: ['cat'], outcome: '' },
  { what: 'large input and output', words: ['cat'], input: LARGE, outcome: LARGE },
  { what: 'input that is not read', words: ['true'], input: LARGE, outcome: '' },
  { what: 'environment', words: ['env'], outcome: `PATH=${SURROUNDINGS.env.PATH}\nLC_ALL=C\n` },
  {
    // Those up to 28: glibc ignores 32 and 33, its own, for each child of posix_spawn.
    what: 'signals as by default',
    words: ['sed', '-En', 's/^Sig(Blk|Ign):.*(.{7})$/\\1 \\2/p', '/proc/self/status'],
    outcome: 'Blk 0000000\nIgn 0000000\n',
  },
  {
    what: 'an exit code and what it said',
    words: script('echo out; echo no way >&2; exit 3'),
    input: LARGE,
    outcome: failed('echo out; echo no way >&2; exit 3', 'no way', {
      ...{ status: 3, stdout: 'out\n', stderr: 'no way\n' },
    }),
  },
  {
    what: 'a signal, and it said nothing',
    words: script('kill -PIPE $$'),
    outcome: failed('kill -PIPE $$', 'Command failed: sh -c kill -PIPE $$', { signal: 'SIGPIPE' }),
  },
  {
    what: 'outputs that are closed early, then an exit code',
    words: script('echo out; exec >&- 2>&-; sleep 0.2; exit 4'),
    outcome: failed(
      'echo out; exec >&- 2>&-; sleep 0.2; exit 4',
      'Command failed: sh -c echo out; exec >&- 2>&-; sleep 0.2; exit 4',
      { status: 4, stdout: 'out\n' },
    ),
  },
  {
    what: 'outputs that are closed early, and it goes on for ever',
    words: script('exec >&- 2>&- sleep 600'),
    timeout: 200,
    outcome: failed('exec >&- 2>&- sleep 600', 'Command failed: sh -c exec >&- 2>&- sleep 600', {
      killed: true,
      signal: 'SIGTERM',
    }),
  },
  {
    what: 'too much time',
    words: script('exec sleep 600'),
    timeout: 200,
    outcome: failed('exec sleep 600', 'Command failed: sh -c exec sleep 600', {
      ...{ killed: true, signal: 'SIGTERM' },
    }),
  },
  {
    what: 'as much output as may be',
    words: script('printf 12345'),
    maxBuffer: 5,
    outcome: '12345',
  },
  {
    what: 'too much output',
    words: script('printf 123456; exec sleep 600'),
    maxBuffer: 5,
    outcome: failed('printf 123456; exec sleep 600', 'stdout maxBuffer length exceeded', {
      ...{ status: 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER', stdout: '12345' },
      ...{ killed: undefined, signal: undefined },
    }),
  },
  {
    what: 'too many words of an error',
    words: script('printf 123456 >&2; exec sleep 600'),
    maxBuffer: 5,
    outcome: failed('printf 123456 >&2; exec sleep 600', '12345', {
      ...{ status: 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER', stderr: '12345' },
      ...{ killed: undefined, signal: undefined },
    }),
  },
  {
    what: 'no such command',
    words: ['command-of-nowhere'],
    outcome: notStarted(
      'command-of-nowhere',
      'ERR_COMMAND_MISSING',
      'command not found; install it (Debian package command-of-nowhere)',
    ),
  },
  {
    what: 'a file that is no program',
    words: ['/etc/passwd'],
    outcome: notStarted('/etc/passwd', 'ERR_COMMAND', 'spawn /etc/passwd EACCES'),
  },
];

function outcomeOf(error: unknown, expected: Outcome): Outcome {
  const { code, message, cause } = error as WeftError;
  const { code: status, ...rest } = cause as Record<string, unknown>;
  const all: Record<string, unknown> = { ...rest, code, message, status };
  return Object.fromEntries(Object.keys(expected).map((key) => [key, all[key]]));
}

for (const [name, runner] of Object.entries(RUNNERS))
  for (const { what, words, input, outcome, ...limits } of CASES)
    test(`${name}: ${what}`, async () => {
      const [command, ...args] = words;
      const run = execBy(runner, { ...SURROUNDINGS, ...limits });
      const came = await run(command, args, input).catch((error) => outcomeOf(error, outcome));
      // Not by deepEqual alone, which would print millions of characters.
      if (outcome === LARGE) assert.ok(came === LARGE);
      else assert.deepEqual(came, outcome);
    });

/** Processes that this one started and did not reap. */
function children(): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      return stat.slice(stat.lastIndexOf(')')).split(' ')[2] === String(process.pid);
    } catch {
      return false; // it ended meanwhile
    }
  });
}

test('many at once, good and bad: no descriptor and no process is left', async () => {
  // A busy machine takes its time for 120 processes.
  const run = execBy(RUNNERS.native, { ...SURROUNDINGS, timeout: 120_000 });
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  await run('true', []);
  const before = descriptors();
  const all = Array.from({ length: 60 }, (_, i) => [
    run('cat', [], `${i}`),
    run('sh', ['-c', `exit ${i + 1}`], LARGE).catch(({ cause }) => cause.code),
    run('command-of-nowhere', []).catch(({ code }) => code),
  ]);
  const soon = execBy(RUNNERS.native, { ...SURROUNDINGS, timeout: 200 });
  const slow = soon('sleep', ['600']).catch(({ cause }) => cause.signal);
  for (const [i, each] of all.entries())
    assert.deepEqual(await Promise.all(each), [`${i}`, i + 1, 'ERR_COMMAND_MISSING']);
  assert.equal(await slow, 'SIGTERM');
  assert.equal(descriptors(), before);
  assert.deepEqual(children(), []);
});

test('a command has no descriptor of ours but its three', async () => {
  const list = (): Promise<string> => execBy(RUNNERS.native)('ls', ['/proc/self/fd']);
  const usual = await execBy(RUNNERS.node)('ls', ['/proc/self/fd']);
  assert.deepEqual(await Promise.all([list(), list(), list()]), [usual, usual, usual]);
});

test('both ways side by side do not take each other’s processes', async () => {
  const codes = await Promise.all(
    Array.from({ length: 40 }, (_, i) =>
      execBy(i % 2 ? RUNNERS.native : RUNNERS.node)('sh', ['-c', `exit ${i + 1}`]).catch(
        ({ cause }) => cause.code,
      ),
    ),
  );
  assert.deepEqual(
    codes,
    codes.map((_, i) => i + 1),
  );
});

test('where descriptors run out at any of its pipes, nothing stays open', () => {
  const text = `
    const fs = require('node:fs');
    const addon = require(process.argv[1]).loadAddon();
    const open = () => fs.readdirSync('/proc/self/fd').length;
    open();
    const filled = [];
    try { for (;;) filled.push(fs.openSync('/dev/null')); } catch {}
    const results = [];
    for (let free = 1; free <= 6; free++) {
      fs.closeSync(filled.pop());
      const before = open();
      let code = '';
      try { addon.spawn('/bin/true', ['true'], []); } catch (error) { code = error.code; }
      results.push([code, open() - before]);
    }
    console.log(JSON.stringify(results));
  `;
  const file = path.join(import.meta.dirname, '../../../src/memory/addon.js');
  const words = ['-c', 'ulimit -n 64; exec "$0" -e "$1" "$2"', process.execPath, text, file];
  const { stdout, stderr } = spawnSync('sh', words, { encoding: 'utf8' });
  assert.equal(stderr, '');
  const short = Array.from({ length: 5 }, () => ['EMFILE', 0]);
  assert.deepEqual(JSON.parse(stdout), [...short, ['', 3]]);
});

test('the addon checks what it is given', () => {
  const words = 'words' as unknown as string[];
  assert.throws(() => addon.spawn('/bin/true', words, []), { code: 'ERR_INVALID_ARG_TYPE' });
  const numbers = [1] as unknown as string[];
  assert.throws(() => addon.spawn('/bin/true', ['true'], numbers), /environment must be an array/);
  assert.throws(() => addon.spawn('/bin/true', ['a\0b'], []), /without zero bytes/);
  assert.throws(() => addon.spawn('/nonexistent', ['x'], []), { code: 'ENOENT' });
  assert.throws(() => addon.reap(process.pid), { code: 'ECHILD' });
});

test('exec runs commands in the way that was chosen', async (t) => {
  t.after(() => runCommandsBy(runByNode));
  runCommandsBy(async (command, args) => `${command} ${args}`);
  assert.equal(await exec('ip', ['link']), 'ip link');
});
