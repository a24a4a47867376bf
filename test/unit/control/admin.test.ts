/** The admin socket and its client. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { fetchPage } from '../../../src/cli/client.ts';
import { startAdmin } from '../../../src/control/serve/admin.ts';

const pages = {
  '/status': () => ({ healthy: true }),
  '/bad': () => {
    throw new RangeError('no such worker');
  },
};

function folder(t: TestContext): string {
  const made = mkdtempSync(path.join(os.tmpdir(), 'weft-admin-'));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

async function setUp(t: TestContext): Promise<string> {
  const socket = path.join(folder(t), 'sub/weft.sock');
  const server = await startAdmin(socket, pages);
  t.after(() => server.close());
  return socket;
}

function request(socketPath: string, method: string, page: string): Promise<[number, unknown]> {
  return new Promise((resolve, reject) => {
    const asked = http.request({ socketPath, method, path: page }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve([response.statusCode ?? 0, JSON.parse(text)]));
    });
    asked.on('error', reject);
    asked.end();
  });
}

test('pages are JSON with a schema version; the socket is for owner and group only', async (t) => {
  const socket = await setUp(t);
  assert.deepEqual(await fetchPage(socket, '/status'), { schemaVersion: 1, healthy: true });
  assert.equal(statSync(socket).mode & 0o777, 0o660);
});

test('other methods, unknown pages, odd addresses and failing pages are answered', async (t) => {
  const socket = await setUp(t);
  assert.equal((await request(socket, 'POST', '/status'))[0], 405);
  assert.equal((await request(socket, 'GET', '/__proto__'))[0], 404);
  assert.equal((await request(socket, 'GET', '//'))[0], 400);
  assert.deepEqual(await request(socket, 'GET', '/bad'), [
    400,
    { schemaVersion: 1, error: 'no such worker' },
  ]);
  await assert.rejects(fetchPage(socket, '/bad'), { exitCode: 1, message: /no such worker/ });
  assert.equal((await request(socket, 'GET', '/status'))[0], 200, 'still there');
});

test('a second daemon is refused and leaves the first one its socket', async (t) => {
  const socket = await setUp(t);
  await assert.rejects(startAdmin(socket, pages), { code: 'ERR_ADMIN_SOCKET', exitCode: 71 });
  assert.equal((await request(socket, 'GET', '/status'))[0], 200);
});

test('a killed daemon leaves a socket that is replaced; a file in its place is kept', async (t) => {
  const socket = path.join(folder(t), 'weft.sock');
  const program = `require('net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', program]);
  assert.ok(statSync(socket).isSocket());
  const server = await startAdmin(socket, pages);
  server.close();
  const file = path.join(folder(t), 'precious');
  writeFileSync(file, 'text');
  await assert.rejects(startAdmin(file, pages), /a file is in the way/);
  assert.equal(statSync(file).size, 4);
});

test('no daemon: the message names the socket and how to start one, exit 2', async (t) => {
  const socket = path.join(folder(t), 'none.sock');
  await assert.rejects(fetchPage(socket, '/status'), (error: Error & { exitCode: number }) => {
    assert.equal(error.exitCode, 2);
    assert.match(error.message, /none\.sock.*systemctl start weftd/);
    return true;
  });
});

test('a listener that talks nonsense is not reachable either', async (t) => {
  const socket = path.join(folder(t), 'odd.sock');
  const server = net.createServer((connection) => connection.end('nonsense'));
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.after(() => server.close());
  await assert.rejects(fetchPage(socket, '/status'), { code: 'ERR_UNREACHABLE' });
});
