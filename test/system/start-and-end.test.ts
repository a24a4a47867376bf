/** What weftd and weft say when they can't begin, and at their end: real processes, without root. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { projectBinary } from '../../lab/root.ts';
import { startAdmin } from '../../src/control/serve/admin.ts';
import { activeIn } from '../support/hostile-text.ts';
import { needs } from '../support/needs.ts';

const { test } = needs();

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'weft-start-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

interface Ended {
  code: number | null;
  said: string;
}

/** `before` is shell in front of it; with `journal` standard error is what JOURNAL_STREAM names. */
function weftd(
  t: TestContext,
  flags: string[],
  { before = '', environment = {}, journal = false } = {},
): Ended {
  const file = path.join(folderOf(t), 'stderr');
  const fd = openSync(file, 'w');
  const { dev, ino } = fstatSync(fd);
  const env = {
    PATH: process.env['PATH'],
    ...environment,
    ...(journal && { JOURNAL_STREAM: `${dev}:${ino}` }),
  };
  const words = [process.execPath, projectBinary('weftd'), ...flags];
  const args = ['-c', `${before} exec "$@"`, 'sh', ...words];
  const { status } = spawnSync('sh', args, {
    stdio: ['ignore', 'ignore', fd],
    env,
    timeout: 60_000,
  });
  closeSync(fd);
  return { code: status, said: readFileSync(file, 'utf8') };
}

/** A start that fails behind the flags: the native layer is no library. */
function badAddon(t: TestContext): Record<string, string> {
  const file = path.join(folderOf(t), 'weft.node');
  writeFileSync(file, 'not a library');
  return { WEFT_ADDON: file };
}
const STORE = '--store=file:/nowhere';

test('a flag that is wrong: plain text, in the journal as an error', (t) => {
  for (const journal of [false, true]) {
    const { code, said } = weftd(t, ['--workers=\u001b[2J\n<0>x'], { journal });
    assert.equal(code, 2);
    assert.match(said, journal ? /^<3>weftd: .*-workers.*\n$/ : /^weftd: .*-workers.*\n$/);
    assert.equal(activeIn(said), '');
  }
});

test('a start that fails later says so through the log, in its form', (t) => {
  const environment = badAddon(t);
  const json = weftd(t, [STORE, '--log-format=json'], { environment });
  const last = JSON.parse(json.said.trim().split('\n').at(-1) as string);
  assert.deepEqual([json.code, last.level, last.code, last.exitCode], [71, 60, 'ERR_ADDON', 71]);
  assert.match(last.msg, /^native layer: .*(invalid ELF|file too short).*built for another system/);
  const text = weftd(t, [STORE, '--log-format=text'], { environment });
  assert.match(text.said, /^\S+ fatal native layer: [^\n]* code=ERR_ADDON exitCode=71\n$/);
  const journal = weftd(t, [STORE], { environment, journal: true });
  assert.match(journal.said, /^<2>native layer: [^\n]*\n$/);
});

test('nobody caught it: an error, a rejection, nothing at all', (t) => {
  const folder = folderOf(t);
  // It is there before weftd listens to what is uncaught, and goes off while weftd loads its native layer.
  for (const [statement, message] of [
    ['throw new Error("oops\\u001b[2J")', 'internal error: oops\\u001b[2J'],
    ['Promise.reject(new Error("oops"))', 'internal error: oops'],
    ['throw null', 'internal error: null'],
  ] as const) {
    const preload = path.join(folder, 'preload.cjs');
    const goesOff = `process.on('newListener', (event) => event === 'uncaughtException' && setImmediate(() => { ${statement} }));`;
    writeFileSync(preload, goesOff);
    const environment = { NODE_OPTIONS: `--require=${preload}` };
    const { code, said } = weftd(
      t,
      [
        `--store=file:${folder}`,
        '--log-format=json',
        `--admin-socket=${folder}/s`,
        '--iface=nothere0',
      ],
      { environment },
    );
    const lines = said
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const fatal = lines.find(({ level }) => level === 60);
    assert.equal(fatal?.['msg'], message);
    assert.equal(code, 70);
  }
});

test('few files may be open: what, and what to do, but no stack', (t) => {
  for (const limit of [24, 28, 32]) {
    const { code, said } = weftd(t, ['--version'], { before: `ulimit -n ${limit};` });
    assert.equal(code, 71, said);
    assert.match(
      said,
      /^weftd: the program can't be loaded: .*open more files; raise "ulimit -n"[^\n]*\n$/,
    );
  }
});

test('help and version may lose their reader', () => {
  for (const word of ['--help', '--version']) {
    const command = `"$0" "$1" ${word} 2>&1 >/dev/null | true; exit "\${PIPESTATUS[0]}"`;
    const args = ['-c', command, process.execPath, projectBinary('weftd')];
    assert.equal(spawnSync('bash', args).status, 0, word);
  }
});

test('weft: a slow reader gets everything, one that stops reading ends it without an error', async (t) => {
  const socket = path.join(folderOf(t), 'weft.sock');
  const sample = {
    ...{ at: '2026-01-01T00:00:00.000Z', worker: 0, direction: 'inbound', reason: 'inNotOurs' },
    ...{ outer: null, packet: 'x'.repeat(100) },
  };
  const samples = Array.from({ length: 5_000 }, (_, sequence) => ({ sequence, ...sample }));
  const server = await startAdmin(socket, {
    '/drops': () => ({ workers: [], samples, nextSequence: 0 }),
  });
  t.after(() => server.close());
  const start = (reader: string) => {
    const command = `"$0" "$1" drops --json --admin-socket="$2" | ${reader}; exit "\${PIPESTATUS[0]}"`;
    return spawn('bash', ['-c', command, process.execPath, projectBinary('weft'), socket]);
  };
  const child = start('{ sleep 1; cat; }');
  let text = '';
  child.stdout.on('data', (part) => {
    text += part;
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 0);
  assert.deepEqual((JSON.parse(text) as { samples: unknown[] }).samples, samples);

  const cut = start('head -c 10');
  let complaints = '';
  cut.stderr.on('data', (part) => {
    complaints += part;
  });
  const [cutCode] = await once(cut, 'close');
  assert.deepEqual([cutCode, complaints], [0, '']);
});
