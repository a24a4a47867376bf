/** Log lines: secrets, levels, repeats. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { formatLine } from '../../../src/control/log/log.ts';

const LOG = new URL('../../../src/control/log/log.js', import.meta.url).href;

/** stderr of a program that logs. */
function say(format: string, statement: string): string {
  const program = `const { createLog } = await import(${JSON.stringify(LOG)});
    const log = createLog(${JSON.stringify(format)}, 'info'); ${statement}`;
  const args = ['--input-type=module', '-e', program];
  return spawnSync(process.execPath, args, { encoding: 'utf8' }).stderr;
}

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

test('the log itself is bounded; debug messages are not', () => {
  const statement = `for (let i = 0; i < 1000; i++) { log.error({ i }, 'again ' + i); }
    log.level = 'debug'; for (let i = 0; i < 20; i++) log.debug('detail');`;
  const lines = say('auto', statement)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).msg as string);
  assert.equal(lines.filter((msg) => msg.startsWith('again')).length, 10);
  assert.equal(lines.filter((msg) => msg === 'detail').length, 20);
});
