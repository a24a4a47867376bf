/** What all HTTP servers of the daemon have in common, over loopback and a unix socket. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Limits, listen, type Place } from '../../../src/control/serve/listen.ts';

const LIMITS: Limits = {
  headersTimeoutMs: 4_000,
  requestTimeoutMs: 6_000,
  headerBytesMax: 1_000,
  connectionsMax: 2,
};
const REFUSED = { code: 'ERR_TEST', message: (why: string) => `--here: ${why}; go elsewhere` };

function start(t: TestContext, place: Place): Promise<http.Server> {
  return listen(place, LIMITS, REFUSED, (_request, response) => response.end('well')).then(
    (server) => {
      t.after(() => {
        server.close();
        server.closeAllConnections();
      });
      return server;
    },
  );
}

async function startTcp(t: TestContext): Promise<{ server: http.Server; port: number }> {
  const server = await start(t, { host: '127.0.0.1', port: 0 });
  return { server, port: (server.address() as net.AddressInfo).port };
}

test('a server has the limits that it was given', async (t) => {
  const { server } = await startTcp(t);
  const { headersTimeout, requestTimeout, maxConnections } = server;
  assert.deepEqual([headersTimeout, requestTimeout, maxConnections], [4_000, 6_000, 2]);
});

test('headers beyond the limit are refused', async (t) => {
  const { port } = await startTcp(t);
  const ask = (bytes: number) =>
    fetch(`http://127.0.0.1:${port}/`, { headers: { 'x-large': 'x'.repeat(bytes) } });
  const large = await ask(1_000);
  assert.equal(large.status, 431);
  await large.body?.cancel();
  assert.equal(await (await ask(100)).text(), 'well');
});

test('more connections than the limit are closed, the others are answered', async (t) => {
  const { port } = await startTcp(t);
  const held = [net.connect(port, '127.0.0.1'), net.connect(port, '127.0.0.1')];
  t.after(() => held.forEach((socket) => void socket.destroy()));
  await Promise.all(held.map((socket) => once(socket, 'connect')));
  const third = net.connect(port, '127.0.0.1');
  third.on('error', () => undefined).resume();
  await once(third, 'close');
  held[0]?.write('GET / HTTP/1.1\r\nhost: here\r\n\r\n');
  const [answer] = (await once(held[0] as net.Socket, 'data')) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 200 /);
});

test('a place that is taken is an error with the given code and words', async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'weft-listen-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { port } = await startTcp(t);
  const socket = { path: path.join(folder, 'socket') };
  await start(t, socket);
  for (const place of [{ host: '127.0.0.1', port }, socket])
    await assert.rejects(start(t, place), {
      code: 'ERR_TEST',
      exitCode: 71,
      message: /^--here: .*EADDRINUSE.*; go elsewhere$/,
    });
});
