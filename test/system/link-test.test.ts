/** `weft bench`, the whole command, against a server and a made-up daemon on loopback. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { STEPS } from '../../src/cli/link-test/measures.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { startServer, TOKEN, UNDERLAY } from '../support/link-test-server.ts';
import { needs } from '../support/needs.ts';

const { test } = needs('ping');

/** What weftd would answer on a node whose only peer is on loopback, with one address for both paths: only that is a device's. */
async function startAdmin(t: TestContext): Promise<string> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'weft-bench-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const node = { interface: 'lo', publicIp: '127.0.0.9', publicIpv6: null };
  const lease = { key: '127.0.0.8-32' };
  const pages: Record<string, object> = {
    '/status': { node, backend: 'vxlan', devices: [{ device: 'flannel.1' }], lease, mtu: 1450 },
    '/peers': {
      peers: [{ key: '127.0.0.1-32', family: 4, subnet: `${UNDERLAY}/32`, publicIp: UNDERLAY }],
    },
  };
  const admin = http.createServer((request, response) => {
    response.end(JSON.stringify(pages[request.url ?? '']));
  });
  t.after(() => admin.close());
  const socket = path.join(folder, 'weft.sock');
  await new Promise<void>((resolve) => admin.listen(socket, resolve));
  return socket;
}

async function weftBench(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(path.join(projectRoot(), 'bin/weft'), ['bench', ...words]);
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    err += text;
  });
  const [code] = await once(child, 'close');
  return { code, out, err };
}

test('the whole command against a server: table, JSON, steps, exit codes', async (t) => {
  const { server } = await startServer(t);
  const socket = await startAdmin(t);
  const flags = [`--admin-socket=${socket}`, `--port=${server.port}`, '--seconds=0.1'];
  const table = await weftBench('127.0.0.1-32', ...flags, `--token=${TOKEN}`);
  assert.equal(table.code, 0, table.err);
  assert.match(table.out, /\nTCP to the peer +[\d.]+ [GM]bit\/s +[\d.]+ [GM]bit\/s +[\d.]+\n/);
  assert.match(table.out, /\npods get MTU 1450; the path carries \d+: good/);
  const steps = table.err.trimEnd().split('\n');
  assert.equal(steps.length, STEPS);
  assert.equal(steps.at(-1), `[${STEPS}/${STEPS}] MTU, underlay`);

  const json = await weftBench(UNDERLAY, ...flags, `--token=${TOKEN}`, '--json');
  const result = JSON.parse(json.out);
  assert.equal(result.schemaVersion, 1);
  assert.equal(result.tcpFromMbitPerS.overlay.rounds.length, 3);
  assert.equal(result.mtu.fits, true);

  const unknown = await weftBench('127.0.0.3', ...flags, `--token=${TOKEN}`);
  assert.deepEqual([unknown.code, unknown.out], [1, '']);
  assert.match(unknown.err, /no peer "127\.0\.0\.3".*\n {2}127\.0\.0\.1-32/);
  const noDaemon = await weftBench(UNDERLAY, '--admin-socket=/nonexistent', '--token=x');
  assert.equal(noDaemon.code, 2);
});

test('a bad command line: exit 64', async () => {
  const lines = [[], ['x'], ['x', '--serve'], ['x', '--token=y', '--seconds=1e1']];
  for (const words of [...lines, ['--serve', '--port=0'], ['--serve', '--for=86401']])
    assert.equal((await weftBench(...words)).code, 64, words.join(' '));
});
