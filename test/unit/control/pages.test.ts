/** The pages of a node hold to the table in src/api: what is asked, what is answered, what is refused. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { routeShape } from '../../../src/api/routes.ts';
import type { Node } from '../../../src/control/node.ts';
import { SelfWatch } from '../../../src/control/observe/self-watch.ts';
import { type Pages, startAdmin } from '../../../src/control/serve/admin.ts';
import { pagesOf } from '../../../src/control/serve/pages/all.ts';
import { routesPage } from '../../../src/control/serve/pages/routes.ts';
import { askAdmin, askPage, checkRefusals } from '../../support/admin-contract.ts';
import { madeUpNode, PEER_KEY } from '../../support/made-up-node.ts';

async function serve(t: TestContext, pages: Pages): Promise<string> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'weft-pages-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const socket = path.join(folder, 'weft.sock');
  const server = await startAdmin(socket, pages);
  t.after(() => server.close());
  return socket;
}

function serveNode(t: TestContext, changes: Partial<Node> = {}): Promise<string> {
  const node = madeUpNode(changes);
  t.after(() => node.reach?.stop());
  return serve(t, pagesOf(node, new SelfWatch(node)));
}

const starting: Partial<Node> = {
  ...{ phase: 'waiting for the network config', whyNotReady: () => 'waiting' },
  ...{ config: undefined, external: undefined, lease: undefined, backend: undefined },
  ...{ reach: undefined, peers: [] },
};

test('every page answers what the table promises, and nothing that it does not list', async (t) => {
  const socket = await serveNode(t);
  const status = await askPage(socket, '/status', {});
  assert.deepEqual([status.tunnelGso?.device, status.workers?.length], ['weft.1', 1]);
  assert.equal((await askPage(socket, '/peers', {})).peers.length, 2);
  await askPage(socket, '/history', {});
  await askPage(socket, '/routes', { address: '10.244.2.9' });
  const { samples } = await askPage(socket, '/drops', { since: 0 });
  assert.match(samples[0]?.packet ?? '', /60 bytes/);
  const { echoes, peer } = await askPage(socket, '/ping', {
    peer: PEER_KEY,
    family: '6',
    count: 2,
  });
  assert.deepEqual([echoes[1]?.state, peer.family], ['answered', 6]);
  assert.deepEqual((await askPage(socket, '/reach', {})).cells[0]?.state, 'ok');
  await askPage(socket, '/openapi.json', {});
});

test('routes: each way has the shape that is promised', async () => {
  const throughOverlay = async (): Promise<string> =>
    '[{"dev":"flannel.1","prefsrc":"10.244.1.0"}]';
  const node = madeUpNode();
  for (const [address, way, destinationMac] of [
    ['10.244.2.9', 'peer', '02:00:00:00:00:01'],
    ['10.244.1.9', 'own', undefined],
    ['10.244.9.9', 'unleased', undefined],
    ['192.0.2.7', 'outside', undefined],
  ] as const) {
    const page = await routesPage(node, address, throughOverlay);
    assert.deepEqual([page.way, page.encapsulation?.destinationMac], [way, destinationMac]);
    assert.deepEqual(routeShape.parse(page), page);
  }
  node.reach?.stop();
});

test('the configuration has its origins and no secret', async (t) => {
  const socket = await serveNode(t);
  const { options, networkConfig } = await askPage(socket, '/config', {});
  assert.equal(options.find(({ name }) => name === 'etcd-password')?.value, '(secret)');
  assert.equal(networkConfig?.backend.type, 'vxlan');
  const answers = ['/status', '/config', '/openapi.json'].map((page) => askAdmin(socket, page));
  for (const { body } of await Promise.all(answers)) assert.doesNotMatch(String(body), /geheim/);
});

test('a capture runs until it is stopped, and says how it went', async (t) => {
  const socket = await serveNode(t);
  const capture = askPage(socket, '/capture', { peer: PEER_KEY });
  const isRunning = async () => (await askPage(socket, '/capture/summary', {})).running;
  while (!(await isRunning())) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal((await askPage(socket, '/capture/stop', {})).running, false);
  await capture;
});

test('there are the pages of the table and no others; what can not be answered is said in one form', async (t) => {
  await checkRefusals(await serveNode(t));
});

test('a node that only starts answers what it knows, and says why it can not answer the rest', async (t) => {
  const socket = await serveNode(t, starting);
  const status = await askPage(socket, '/status', {});
  assert.deepEqual([status.notReady, status.lease, status.workers], ['waiting', null, undefined]);
  for (const page of ['/peers', '/history', '/config', '/drops', '/openapi.json'] as const)
    await askPage(socket, page, {});
  for (const page of ['/routes?address=10.244.2.9', '/ping?peer=x', '/reach', '/capture/summary']) {
    const { status: code, body } = await askAdmin(socket, page);
    assert.equal(code, 400, page);
    assert.match(JSON.parse(body.toString()).error, /starting|not ready/, page);
  }
});

test('where the kernel carries the packets there is nothing to see of them', async (t) => {
  const plain = madeUpNode();
  const { podMtu, isForwarding, status } = plain.backend as NonNullable<Node['backend']>;
  const backend = {
    ...{ podMtu, isForwarding },
    status: () => ({ ...status(), devices: [], workers: [], shortcuts: [], table: null }),
  };
  const socket = await serveNode(t, { backend, reach: undefined });
  assert.equal((await askPage(socket, '/status', {})).tunnelGso, null);
  assert.equal((await askPage(socket, '/peers', {})).peers[0]?.sentPackets, 0);
  assert.deepEqual((await askPage(socket, '/drops', {})).workers, []);
  assert.equal((await askAdmin(socket, '/capture')).status, 400);
});

test('questions that do not fit are refused with the name of the key, as ever', async (t) => {
  const socket = await serveNode(t);
  for (const [page, error] of [
    ['/capture?side=left', 'side: inner or outer'],
    ['/capture?snap=1', 'snap: a whole number from 64 to 65663 is expected'],
    ['/capture?count=1e3', 'count: a whole number from 1 to 9007199254740991 is expected'],
    ['/capture?seconds=86401', 'seconds: a whole number from 1 to 86400 is expected'],
    ['/capture?address=x', 'address: not an IP address: x'],
    ['/drops?since=-1', 'since: a whole number from 0 to 9007199254740991 is expected'],
    ['/ping', '/ping: peer: Invalid input: expected string, received undefined'],
    ['/ping?peer=x&count=11', '/ping: count: Too big: expected number to be <=10'],
    ['/ping?peer=x', 'no peer "x"'],
    ['/routes?address=x', '"x" is not an IP address'],
  ] as const) {
    const { status, body } = await askAdmin(socket, page);
    assert.deepEqual([status, JSON.parse(body.toString()).error], [400, error], page);
  }
});

test('the check finds a key that the table does not list, and one that is missing', async (t) => {
  const more = { running: false, captured: 0, missed: 0 };
  const socket = await serve(t, {
    '/capture/summary': () => ({ ...more, lost: 0 }),
    '/capture/stop': () => ({ running: false, captured: 0 }),
  });
  await assert.rejects(askPage(socket, '/capture/summary', {}), { code: 'ERR_ASSERTION' });
  await assert.rejects(askPage(socket, '/capture/stop', {}), { name: 'ZodError' });
});
