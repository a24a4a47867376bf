/** HZ-1: pages, bodies and a port that is taken. */
import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { freePorts } from '../../../lab/etcd.ts';
import { startHealth } from '../../../src/control/serve/health.ts';

test('HZ-1 /healthz unless a thread hangs, /readyz as the node is, any method; a taken port is named', async () => {
  let why = 'waiting for a lease';
  let hang = '';
  const probes = { whyNotReady: () => why, whyNotAlive: () => hang };
  const [port = 0] = await freePorts(1);
  const scrape = async () => ({ contentType: 'text/plain; version=0.0.4', text: 'x 1\n' });
  const server = await startHealth('127.0.0.1', port, probes, scrape);
  try {
    const { address } = server.address() as AddressInfo;
    const ask = async (page: string, method = 'GET'): Promise<string> => {
      const answer = await fetch(`http://${address}:${port}${page}`, { method });
      return `${answer.status} ${await answer.text()}`;
    };
    assert.equal(await ask('/healthz'), '200 flanneld is running\n');
    assert.equal(await ask('/healthz?verbose', 'POST'), '200 flanneld is running\n');
    assert.equal(await ask('/readyz'), '503 flanneld is not ready yet: waiting for a lease\n');
    why = '';
    assert.equal(await ask('/readyz'), '200 flanneld is ready\n');
    hang = 'a worker is stuck';
    assert.equal(await ask('/healthz'), '503 flanneld hangs: a worker is stuck\n');
    assert.equal(await ask('/metrics'), '200 x 1\n');
    assert.match(await ask('/other'), /^404 /);
    await assert.rejects(startHealth('127.0.0.1', port, probes, scrape), {
      code: 'ERR_HEALTHZ',
      exitCode: 71,
      message: new RegExp(`${port}`),
    });
  } finally {
    server.close();
  }
});
