/** Log lines: secrets, levels, repeats, floods, foreign text. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { formatLine } from '../../src/control/log/log.ts';
import { activeIn, HOSTILE_TEXTS } from '../support/hostile-text.ts';
import { needs } from '../support/needs.ts';

const { test } = needs();

const LOG = new URL('../../src/control/log/log.js', import.meta.url).href;

/** stderr of a program that logs; with `journal` it takes the file that it writes to for the journal. */
function say(format: string, statement: string, journal = false): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'weft-log-'));
  const file = path.join(folder, 'stderr');
  const fd = openSync(file, 'w');
  const { dev, ino } = fstatSync(fd);
  const program = `const { createLog } = await import(${JSON.stringify(LOG)});
    const log = createLog(${JSON.stringify(format)}, 'info'); ${statement}`;
  const args = ['--input-type=module', '-e', program];
  const env = journal ? { JOURNAL_STREAM: `${dev}:${ino}` } : {};
  try {
    spawnSync(process.execPath, args, { stdio: ['ignore', 'ignore', fd], env });
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
}

const linesOf = (text: string): string[] => text.trimEnd().split('\n');
const messagesOf = (text: string): string[] =>
  linesOf(text).map((line) => (JSON.parse(line) as { msg: string }).msg);

test('JSON where nobody looks; secrets are redacted at two depths', () => {
  const fields = { password: 'hush', values: { 'etcd-password': 'hush', v: 1 }, node: 'a' };
  const line = say('auto', `log.info(${JSON.stringify(fields)}, 'starts'); log.debug('not this');`);
  assert.ok(!line.includes('hush'));
  const { msg, node, values } = JSON.parse(line) as Record<string, unknown>;
  assert.deepEqual([msg, node, values], ['starts', 'a', { 'etcd-password': '[Redacted]', v: 1 }]);
});

test('text has secrets redacted too', () => {
  const line = say('text', `log.warn({ token: 'hush', key: 'k' }, 'text')`);
  assert.match(line, /^\S+ warn text token=\[Redacted\] key=k\n$/);
});

test('journald gets its own levels and no time', () => {
  const line = JSON.stringify({ level: 40, time: 't', msg: 'm', n: 3 });
  assert.equal(formatLine(line, true), '<4>m n=3\n');
  assert.equal(formatLine(line, false), 't warn m n=3\n');
});

test('a value with blanks does not look like further fields', () => {
  const line = JSON.stringify({ level: 40, time: 't', msg: 'm', key: 'a level=info "b"' });
  assert.equal(formatLine(line, true), '<4>m key="a level=info \\"b\\""\n');
});

for (const [format, isJournal] of [
  ['text', false],
  ['auto', true],
  ['json', false],
] as const)
  test(`foreign text makes no line, level or terminal sequence: ${isJournal ? 'journal' : format}`, () => {
    const texts = JSON.stringify(HOSTILE_TEXTS);
    const statement = `${texts}.forEach((text, i) => {
      const name = 'abcdefghijklmnopqrstuvw'[i];
      log.warn({ key: text, list: [text], deep: { [text]: text } }, name + ': ' + text);
    });`;
    const output = say(format, statement, isJournal);
    assert.equal(activeIn(output), '');
    const lines = linesOf(output);
    assert.equal(lines.length, HOSTILE_TEXTS.length, 'one line each');
    lines.forEach((line, i) => {
      const letter = 'abcdefghijklmnopqrstuvw'[i];
      const head = isJournal
        ? `<4>${letter}: `
        : format === 'text'
          ? ` warn ${letter}: `
          : '"level":40';
      assert.ok(line.includes(head), line.slice(0, 100));
      if (isJournal) assert.ok(line.startsWith(head));
      assert.ok(line.length < 3_000, `${line.length} characters`);
      if (format !== 'json') return;
      const { key } = JSON.parse(line) as { key: string };
      assert.ok(key.length <= 100);
    });
  });

test('a message is held back when it repeats; debug messages are not', () => {
  const statement = `for (let i = 0; i < 1000; i++) { log.error({ i }, 'again ' + i); }
    log.level = 'debug'; for (let i = 0; i < 20; i++) log.debug('detail');`;
  const messages = messagesOf(say('auto', statement));
  assert.equal(messages.filter((msg) => msg.startsWith('again')).length, 10);
  assert.equal(messages.filter((msg) => msg === 'detail').length, 20);
});

test('a flood of messages that all differ is bounded, hides no error, and is counted', () => {
  const statement = `const name = (i) => i.toString(26).replace(/\\d/g, (d) => 'qrstuvwxyz'[d]);
    for (let i = 0; i < 5000; i++) log.warn('odd ' + name(i) + '!');
    log.error('broken'); log.fatal('ends');`;
  const lines = linesOf(say('auto', statement)).map(
    (line) => JSON.parse(line) as Record<string, unknown>,
  );
  const written = lines.filter(({ msg }) => String(msg).startsWith('odd')).length;
  assert.ok(written >= 200 && written < 1_000, `${written}`);
  assert.deepEqual(
    lines.slice(-3).map(({ msg }) => msg),
    ['broken', `too many log lines at once: ${5_000 - written} were left out`, 'ends'],
  );
  assert.equal(lines.at(-2)?.['warn'], 5_000 - written);
});

test('what was left out is counted at the end of the process, too', () => {
  const statement = `for (let i = 0; i < 500; i++) log.warn('x'.repeat(i));`;
  const messages = messagesOf(say('auto', statement));
  assert.match(messages.at(-1) as string, /^too many log lines at once: \d+ were left out$/);
});

test('a pipe that is full or has lost its reader ends nothing, and what is read is whole', () => {
  const line = 'y'.repeat(90);
  const program = `const { createLog } = await import(${JSON.stringify(LOG)});
    const log = createLog('json', 'debug');
    for (let i = 0; i < 5000; i++) log.debug({ i }, '${line}');
    process.stdout.write('went on');`;
  const command = (reader: string): string =>
    `"$0" --input-type=module -e "$1" 2>&1 >&3 3>&- | ${reader}`;
  const run = (reader: string): [seen: string, said: string] => {
    const child = spawnSync(
      'bash',
      ['-c', `{ ${command(reader)}; } 3>&2`, process.execPath, program],
      {
        encoding: 'utf8',
        maxBuffer: 64 << 20,
      },
    );
    return [child.stdout, child.stderr];
  };
  const [slow, said] = run('{ sleep 1; cat; }');
  assert.equal(linesOf(slow).length, 5_000);
  assert.equal((JSON.parse(linesOf(slow).at(-1) as string) as { i: number }).i, 4_999);
  assert.equal(said, 'went on');
  assert.equal(run('head -c 100')[1], 'went on');
});
