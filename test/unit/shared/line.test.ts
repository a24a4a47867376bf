/** Lines on real TCP connections over loopback. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import { readLine } from '../../../src/shared/line.ts';

/** Two ends of a connection, closed after the test. */
async function connect(t: TestContext): Promise<{ near: net.Socket; far: net.Socket }> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[net.Socket]>;
  const near = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  const [far] = await accepted;
  t.after(() => {
    for (const socket of [near, far]) socket.destroy();
    server.close();
  });
  return { near, far };
}

test('lines are read one after the other, in whatever pieces they come; what follows stays', async (t) => {
  const { near, far } = await connect(t);
  const bytesMax = 100;
  far.write('fir');
  const first = readLine(near, { bytesMax });
  far.write('st\nsecond\nrest');
  assert.equal(await first, 'first');
  assert.equal(await readLine(near, { bytesMax }), 'second');
  far.end();
  const rest: Buffer[] = await near.toArray();
  assert.equal(Buffer.concat(rest).toString(), 'rest');
});

test('a line of exactly the limit is taken, a longer one is refused, with a line end or without', async (t) => {
  const { near, far } = await connect(t);
  far.write('12345\n123456\n');
  assert.equal(await readLine(near, { bytesMax: 5 }), '12345');
  await assert.rejects(readLine(near, { bytesMax: 5 }), { fault: 'tooLong' });
  const other = await connect(t);
  other.far.write('123456');
  await assert.rejects(readLine(other.near, { bytesMax: 5 }), { fault: 'tooLong' });
});

test('a connection that ends, or has ended, before the line end gives no line', async (t) => {
  const { near, far } = await connect(t);
  far.end('half a line');
  await assert.rejects(readLine(near, { bytesMax: 100 }), { fault: 'ended' });
  near.destroy();
  await assert.rejects(readLine(near, { bytesMax: 100 }), { fault: 'ended' });
});

test('after a wait in vain the connection is still there', async (t) => {
  const { near, far } = await connect(t);
  await assert.rejects(readLine(near, { bytesMax: 100, timeoutMs: 20 }), {
    fault: 'late',
    message: 'nothing came within 0.02 s',
  });
  far.write('late\n');
  assert.equal(await readLine(near, { bytesMax: 100 }), 'late');
});
