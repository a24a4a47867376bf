/** How `weft` reads pages of a daemon of another version: more is passed on, less is borne, something else is refused. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { peerFactsShape, statusShape } from '../../../src/cli/pages.ts';
import { fetchShape } from '../../../src/cli/show.ts';
import { startAdmin } from '../../../src/control/serve/admin.ts';

const START = '2026-01-01T00:00:00.000Z';
/** No more than every daemon has told. */
const least = {
  ...{ healthy: true, notReady: null, version: '0.0.1', startedAt: START, backend: 'vxlan' },
  node: { interface: 'eth0', publicIp: '192.0.2.1', publicIpv6: null },
  lease: { key: '10.5.1.0-24', state: 'held', expiresAt: null },
  store: { name: 'file:/s', ok: true, message: '', lastEventAt: START },
  firewall: null,
  peers: { total: 1, held: 0 },
  devices: [{ device: 'flannel.1', mtu: 1450 }],
  workers: [{ state: 'running', restarts: 0 }],
};

async function serve(t: TestContext, status: Record<string, unknown>): Promise<string> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'weft-cli-pages-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const socket = path.join(folder, 'weft.sock');
  const server = await startAdmin(socket, { '/status': () => status });
  t.after(() => server.close());
  return socket;
}

test('a daemon that tells less is shown as it is', async (t) => {
  const socket = await serve(t, least);
  assert.deepEqual(await fetchShape(socket, '/status', statusShape), {
    schemaVersion: 1,
    ...least,
  });
  const peer = { key: '10.5.2.0-24', subnet: '10.5.2.0/24', publicIp: '192.0.2.2' };
  assert.ok(peerFactsShape.safeParse({ peers: [peer] }).success);
});

test('keys that this weft does not know are passed on, at every depth', async (t) => {
  const more = { ...least, colour: 'red', lease: { ...least.lease, colour: 'blue' } };
  const answer = await fetchShape(await serve(t, more), '/status', statusShape);
  assert.deepEqual(answer, { schemaVersion: 1, ...more });
});

test('what is not as promised is refused, with the key and the question of versions', async (t) => {
  const socket = await serve(t, { ...least, peers: { total: '1', held: 0 } });
  await assert.rejects(fetchShape(socket, '/status', statusShape), {
    code: 'ERR_ANSWER',
    exitCode: 1,
    message: /^\/status: .*\(peers\.total: .*\); are weft and weftd the same version\?$/,
  });
});
