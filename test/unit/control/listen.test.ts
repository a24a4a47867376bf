/** What all HTTP servers of the daemon have in common, over loopback and a unix socket: whoever asks is answered, whatever others do. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { startHealth } from '../../../src/control/serve/health.ts';
import { type Limits, listen, type Place } from '../../../src/control/serve/listen.ts';
import { until } from '../../support/until.ts';

const LIMITS: Limits = {
  headersTimeoutMs: 500,
  requestTimeoutMs: 1_000,
  headerBytesMax: 1_000,
  connectionsMax: 4,
};
const REFUSED = { code: 'ERR_TEST', message: (why: string) => `--here: ${why}; go elsewhere` };
const WELL: http.RequestListener = (_request, response) => void response.end('well');
/** More than any socket buffers hold. */
const LARGE = Buffer.alloc(16 << 20);

function ended(t: TestContext, server: http.Server): http.Server {
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return server;
}

const start = async (
  t: TestContext,
  place: Place,
  limits: Partial<Limits> = {},
  onRequest = WELL,
): Promise<http.Server> =>
  ended(t, await listen(place, { ...LIMITS, ...limits }, REFUSED, onRequest));

const portOf = (server: http.Server): number => (server.address() as net.AddressInfo).port;

async function startTcp(
  t: TestContext,
  limits: Partial<Limits> = {},
  onRequest = WELL,
): Promise<number> {
  return portOf(await start(t, { host: '127.0.0.1', port: 0 }, limits, onRequest));
}

/** A connection that says `head` and nothing more, and does not mind its end. */
async function stranger(
  t: TestContext,
  port: number,
  head = '',
  localAddress = '127.0.0.1',
): Promise<net.Socket> {
  const socket = net.connect({ host: '127.0.0.1', port, localAddress });
  t.after(() => socket.destroy());
  socket.on('error', () => undefined).resume();
  await once(socket, 'connect');
  socket.write(head);
  return socket;
}

/** As kubelet: a connection of its own, for a second. */
function probe(port: number, page = '/healthz'): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path: page, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(`${response.statusCode} ${text}`));
    });
    request.setTimeout(10_000, () => request.destroy(new Error('no answer')));
    request.on('error', reject);
  });
}

async function startProbed(t: TestContext): Promise<number> {
  const scrape = async () => ({ contentType: 'text/plain', text: 'x 1\n' });
  const probes = { whyNotAlive: () => '', whyNotReady: () => '' };
  return portOf(ended(t, await startHealth('127.0.0.1', 0, probes, scrape)));
}

test('headers beyond the limit are refused', async (t) => {
  const port = await startTcp(t);
  const ask = (bytes: number) =>
    fetch(`http://127.0.0.1:${port}/`, { headers: { 'x-large': 'x'.repeat(bytes) } });
  const large = await ask(1_000);
  assert.equal(large.status, 431);
  await large.body?.cancel();
  assert.equal(await (await ask(100)).text(), 'well');
});

for (const [who, addressOf] of [
  ['the address of the probes', () => '127.0.0.1'],
  ['another address', () => '127.0.0.9'],
  ['a hundred addresses', (i: number) => `127.0.1.${(i % 100) + 1}`],
] as const)
  test(`probes are answered while 200 connections from ${who} ask nothing`, async (t) => {
    const port = await startProbed(t);
    const heads = ['', 'GET /healthz', 'GET /healthz HTTP/1.1\r\nhost: x\r\nx: '];
    for (let i = 0; i < 200; i++) {
      await stranger(t, port, heads[i % 3], addressOf(i));
      if (i % 20 === 0) assert.equal(await probe(port), '200 flanneld is running\n');
    }
    for (let i = 0; i < 5; i++) assert.equal(await probe(port), '200 flanneld is running\n');
  });

test('whoever sends byte by byte is closed when the time is over, others are answered', async (t) => {
  const port = await startTcp(t);
  const socket = await stranger(t, port, 'GET / HTTP/1.1\r\nx: ');
  const drip = setInterval(() => socket.write('x'), 20);
  t.after(() => clearInterval(drip));
  await until('it is closed', () => socket.closed);
  assert.equal(await probe(port), '200 well');
});

test('answers that nobody reads make room for those who ask', async (t) => {
  const port = await startTcp(t, {}, (request, response) => {
    response.end(request.url === '/large' ? LARGE : 'well');
  });
  for (let i = 0; i < 12; i++) {
    const socket = await stranger(t, port, 'GET /large HTTP/1.1\r\nhost: x\r\n\r\n');
    socket.pause();
    assert.equal(await probe(port), '200 well');
  }
});

test('an answer that goes on is not cut for a newcomer, who is closed instead', async (t) => {
  const port = await startTcp(t, { connectionsMax: 2 }, (_request, response) => {
    response.write('begins'); // and goes on when something happens
  });
  const held = [];
  for (let i = 0; i < 2; i++) {
    const socket = await stranger(t, port, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await once(socket, 'data');
    held.push(socket);
  }
  const third = await stranger(t, port, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await until('the newcomer is closed', () => third.closed);
  assert.deepEqual(
    held.map(({ closed }) => closed),
    [false, false],
  );
});

test('requests that do not wait for the answer before are not worked on', async (t) => {
  let asked = 0;
  const port = await startTcp(t, {}, (_request, response) => {
    asked++;
    setImmediate(() => response.end('well'));
  });
  for (const version of ['1.1', '1.0']) {
    asked = 0;
    const request = `GET / HTTP/${version}\r\nhost: x\r\nconnection: keep-alive\r\n\r\n`;
    const socket = await stranger(t, port, request.repeat(1_000));
    await until('it is closed', () => socket.closed);
    assert.equal(asked, 1);
  }
});

test('a client that waits for its answer may ask again on the same connection', async (t) => {
  const port = await startTcp(t);
  const socket = await stranger(t, port);
  for (let i = 0; i < 20; i++) {
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 200 .*well$/s);
  }
});

test('a body is not read: the connection ends with the answer', async (t) => {
  const port = await startTcp(t, { requestTimeoutMs: 60_000, headersTimeoutMs: 60_000 });
  const heads = ['content-length: 1000000000', 'transfer-encoding: chunked'];
  for (const head of heads) {
    const socket = await stranger(t, port, `POST / HTTP/1.1\r\nhost: x\r\n${head}\r\n\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 200 [\s\S]*connection: close/i);
    await until('it is closed', () => socket.closed);
  }
});

test('a place that is taken is an error with the given code and words', async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'weft-listen-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const port = await startTcp(t);
  const socket = { path: path.join(folder, 'socket') };
  await start(t, socket);
  for (const place of [{ host: '127.0.0.1', port }, socket])
    await assert.rejects(start(t, place), {
      code: 'ERR_TEST',
      exitCode: 71,
      message: /^--here: .*EADDRINUSE.*; go elsewhere$/,
    });
});
