/** A worker's copy of this host's addresses: what is in it, and that it is whole while the control thread writes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import {
  fillLocalAddresses,
  LocalAddressTable,
} from '../../../src/control/plane/local-addresses.ts';
import { LocalAddresses } from '../../../src/dataplane/local-addresses.ts';
import { LOCAL, LOCAL_ADDRESSES_BYTES } from '../../../src/memory/local-addresses.ts';
import type { Words } from '../../../src/shared/address.ts';
import { LOCAL_ADDRESSES_MAX } from '../../../src/shared/limits.ts';
import { keepLog } from '../../support/log-lines.ts';
import { words } from '../../support/rig.ts';
import { until } from '../../support/until.ts';

const newMemory = (): SharedArrayBuffer => new SharedArrayBuffer(LOCAL_ADDRESSES_BYTES);
const numbered = (count: number): Words[] =>
  Array.from({ length: count }, (_, i) => [0x20010db8 | 0, 0, i >> 8, i & 255] as const);

test('it has what was written, given once or twice, and nothing else', () => {
  const word = fc.integer({ min: -3, max: 3 });
  const address = fc
    .tuple(word, word, word, word)
    .filter((each) => each.some((part) => part !== 0));
  fc.assert(
    fc.property(fc.array(address), fc.array(address), (present, others) => {
      const memory = newMemory();
      fillLocalAddresses(new Int32Array(memory), [...present, ...present.slice(0, 2)]);
      const copy = new LocalAddresses(memory);
      const keys = new Set(present.map(String));
      for (const each of [...present, ...others])
        assert.equal(copy.has(...each), keys.has(String(each)));
    }),
    { numRuns: 200 },
  );
});

test('a change is seen at the next look, what is gone is gone, and nothing is missed while it is written', () => {
  const memory = newMemory();
  const shared = new Int32Array(memory);
  const [first, second] = [words('192.0.2.1'), words('2001:db8::1')];
  fillLocalAddresses(shared, [first]);
  const copy = new LocalAddresses(memory);
  fillLocalAddresses(shared, [second]);
  assert.equal(copy.has(...first), true, 'before the look');
  Atomics.add(shared, LOCAL.sequence, 1);
  copy.refresh();
  assert.equal(copy.has(...first), true, 'while it is being written');
  Atomics.add(shared, LOCAL.sequence, 1);
  copy.refresh();
  assert.deepEqual([copy.has(...first), copy.has(...second)], [false, true]);
});

test('as many as there may be fit; of more the log says how many, once', () => {
  const { log, messages } = keepLog();
  const table = new LocalAddressTable(log);
  table.setLinks([words('10.244.1.0')]);
  table.setHost(numbered(LOCAL_ADDRESSES_MAX - 1));
  assert.deepEqual(messages, []);
  const copy = new LocalAddresses(table.memory);
  assert.ok(numbered(LOCAL_ADDRESSES_MAX - 1).every((each) => copy.has(...each)));
  for (let i = 0; i < 2; i++) table.setHost(numbered(LOCAL_ADDRESSES_MAX));
  assert.match(messages.join('\n'), /^[^\n]*16385 addresses[^\n]*first 16384 only[^\n]*$/);
  copy.refresh();
  assert.ok(copy.has(...words('10.244.1.0')), "the overlay's own come first");
});

test('the same addresses again cost workers nothing', () => {
  const table = new LocalAddressTable(keepLog().log);
  const sequence = (): number => Atomics.load(new Int32Array(table.memory), LOCAL.sequence);
  table.setLinks([words('10.244.1.0')]);
  table.setHost(numbered(10));
  const before = sequence();
  table.setHost(numbered(10));
  assert.equal(sequence(), before);
  table.setHost(numbered(11));
  assert.notEqual(sequence(), before);
});

test('read by one thread while another writes, a copy is one of what was written, never a mixture', async () => {
  const memory = newMemory();
  const sets = [numbered(40), numbered(80).slice(40)];
  const always = words('192.0.2.1');
  fillLocalAddresses(new Int32Array(memory), [always, ...(sets[0] as Words[])]);
  const module = new URL('../../../src/control/plane/local-addresses.js', import.meta.url).href;
  const writer = new Worker(
    `const { workerData, parentPort } = require('node:worker_threads');
     import(workerData.module).then(({ fillLocalAddresses }) => {
       const shared = new Int32Array(workerData.memory);
       for (let i = 0; i < 3000; i++) {
         fillLocalAddresses(shared, [workerData.always, ...workerData.sets[i % 2]]);
         for (let pause = 0; pause < 20_000; pause++);
       }
       parentPort.postMessage('done');
     });`,
    { eval: true, workerData: { module, memory, sets, always } },
  );
  let isDone = false;
  writer.once('message', () => {
    isDone = true;
  });
  const copy = new LocalAddresses(memory);
  const seen = new Set<string>();
  await until('both sets were seen and the writer is done', () => {
    for (let look = 0; look < 2000; look++) {
      copy.refresh();
      assert.ok(copy.has(...always));
      const found = sets.map((set) => set.filter((each) => copy.has(...each)).length);
      assert.ok(String(found) === '40,0' || String(found) === '0,40', String(found));
      seen.add(String(found));
    }
    return isDone && seen.size === 2;
  });
  await writer.terminate();
});
