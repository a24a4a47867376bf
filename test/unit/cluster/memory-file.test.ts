/** The file that a node may start from: what is in it comes back, and what is not as it should be is refused with the reason. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { decodeMemory, encodeMemory, type Memory } from '../../../src/cluster/remember/memory.ts';
import {
  MEMORY_FILE,
  MemoryFile,
  readMemory,
  WRITE_GAP_MS,
} from '../../../src/cluster/remember/memory-file.ts';
import { MEMORY_BYTES_MAX } from '../../../src/shared/limits.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { keepLog } from '../../support/log-lines.ts';
import { toyLease } from '../../support/toy-registry.ts';
import { until } from '../../support/until.ts';

function memory(changes: Partial<Memory> = {}): Memory {
  const vtep = { VNI: 1, VtepMAC: '02:00:00:00:00:02' };
  const savedAtMs = Date.UTC(2026, 0, 1);
  return {
    of: 'a store',
    savedAtMs,
    config: '{"Network":"10.244.0.0/16"}',
    own: { ...toyLease(1), isPermanent: false, expiresAtMs: savedAtMs + 1_000, revision: '' },
    others: [{ ...toyLease(2, { backendType: 'vxlan', backendData: vtep }), revision: '' }],
    ...changes,
  };
}

/** The same text with another body, and a head that fits. */
function withBody(text: string, change: (body: string) => string): string {
  const body = change(text.slice(text.indexOf('\n') + 1));
  const sha256 = createHash('sha256').update(body).digest('hex');
  return `${JSON.stringify({ version: 1, sha256 })}\n${body}`;
}

test('memory: what is written comes back, with dual-stack keys and without an expiry too', async () => {
  const permanent = { ...toyLease(1), revision: '' };
  for (const each of [memory(), memory({ own: permanent, others: [] })])
    assert.deepEqual(decodeMemory(String(await encodeMemory(each))), each);
});

test('memory: damaged, cut short, of another version, of another shape, with junk for leases', async () => {
  const text = String(await encodeMemory(memory()));
  const refused: [string, RegExp][] = [
    ['', /damaged: its first line/],
    ['not JSON\n{}', /damaged: its first line/],
    [text.replace('10.244', '10.245'), /damaged: its checksum/],
    [text.slice(0, -20), /damaged: its checksum/],
    [text.replace('"version":1', '"version":2'), /version is 2, and this weft reads 1/],
    [withBody(text, () => '[]'), /damaged/],
    [
      withBody(text, (body) => body.replace(/"savedAtMs":\d+/, '"savedAtMs":"now"')),
      /savedAtMs is wrong/,
    ],
    [
      withBody(text, (body) => body.replace('"subnets":"10.244.1.0-24"', '"subnets":"x"')),
      /no lease of this node/,
    ],
    [
      withBody(text, (body) => body.replace('10.244.0.0/16', 'x'.repeat(20_000))),
      /config is wrong/,
    ],
  ];
  for (const [bad, why] of refused) assert.match(String(decodeMemory(bad)), why);
});

test('memory: the odd lease of another node costs only itself', async () => {
  const { others } = memory();
  const more = memory({ others: [...others, { ...toyLease(3), revision: '' }] });
  const left = { ...more, others: more.others.slice(1) };
  const text = String(await encodeMemory(more));
  for (const odd of [
    withBody(text, (body) => body.replace('"subnets":"10.244.2.0-24"', '"subnets":"0.0.0.0-0"')),
    withBody(text, (body) => body.replace(/192\.0\.2\.2/, '192.0.2.2222')),
    withBody(text, (body) => body.replace(/02:00:00:00:00:02/, 'x'.repeat(20_000))),
  ])
    assert.deepEqual(decodeMemory(odd), left);
});

test('memory file: one of somebody else, one that others may write, a link, a folder, one that is too big, and none', async (t) => {
  const folder = await temporaryFolder(t);
  const file = path.join(folder, MEMORY_FILE);
  assert.equal(await readMemory(file), undefined);
  writeFileSync(file, await encodeMemory(memory()), { mode: 0o600 });
  assert.deepEqual(await readMemory(file), memory());
  // Root gives its own file away; anybody else has none of root's.
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) chownSync(file, 65_534, 65_534);
  assert.match(String(await readMemory(isRoot ? file : '/etc/hostname')), /it belongs to user/);
  if (isRoot) chownSync(file, 0, 0);
  chmodSync(file, 0o660);
  assert.match(String(await readMemory(file)), /others may write it \(mode 660\)/);
  rmSync(file);
  symlinkSync('/etc/hostname', file);
  assert.match(String(await readMemory(file)), /ELOOP/);
  rmSync(file);
  mkdirSync(file);
  assert.match(String(await readMemory(file)), /not a regular file/);
  rmSync(file, { recursive: true });
  writeFileSync(file, Buffer.alloc(MEMORY_BYTES_MAX + 1), { mode: 0o600 });
  assert.match(String(await readMemory(file)), /bytes are too many/);
});

test('memory file: the first is written at once, then at most one in ten seconds, the newest; the rest at the end', async (t) => {
  const folder = await temporaryFolder(t);
  const file = path.join(folder, MEMORY_FILE);
  const clock = new FakeClock();
  const writer = new MemoryFile(folder, keepLog().log, clock);
  const savedIn = async (): Promise<unknown> => {
    const found = await readMemory(file);
    return typeof found === 'object' ? found.config : found;
  };
  const offer = (config: string): void => writer.offer(memory({ config }));
  offer('1');
  await until('written', async () => (await savedIn()) === '1');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  await settle();
  offer('2');
  offer('3');
  await settle();
  assert.equal(await savedIn(), '1', 'it waits');
  await until('the newest is written', async () => {
    await clock.move(WRITE_GAP_MS);
    return (await savedIn()) === '3';
  });
  offer('4');
  await writer.close();
  assert.equal(await savedIn(), '4');
  assert.deepEqual(readdirSync(folder), [MEMORY_FILE], 'no draft is left');
});

test('memory file: a folder that can not be written is said once, and so is that it can again', async (t) => {
  const folder = path.join(await temporaryFolder(t), 'state');
  writeFileSync(folder, 'a file in its place');
  const clock = new FakeClock();
  const { log, messages } = keepLog();
  const writer = new MemoryFile(folder, log, clock);
  writer.offer(memory());
  await until('it is said', () => messages.length > 0);
  writer.offer(memory({ config: '2' }));
  await writer.close();
  assert.equal(messages.length, 1);
  assert.match(messages[0] ?? '', /memory\.json can't be written: .*can't start while its store/);
  rmSync(folder);
  writer.offer(memory({ config: '3' }));
  await writer.close();
  assert.match(messages[1] ?? '', /is written again/);
  assert.match(readFileSync(path.join(folder, MEMORY_FILE), 'utf8'), /"config":"3"/);
});
