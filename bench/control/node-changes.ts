/**
 * Runs beside a weftd in Kubernetes, where it can reach the API server: makes Nodes one after the other and prints, as JSON, after how many
 * ms from the server's answer the daemon counts each among its peers.
 *   node-changes KUBECONFIG ADMIN_SOCKET COUNT FIRST_NUMBER
 */
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubernetesClient } from '../../src/cluster/kubernetes/client.ts';
import { readKubeconfig } from '../../src/cluster/kubernetes/kubeconfig.ts';
import { playedNode } from './played-node.ts';

const SEEN_MS_MAX = 30_000;
const LOOK_EVERY_MS = 2;

const [, , kubeconfig = '', socketPath = '', count = '', first = ''] = process.argv;
const client = new KubernetesClient(await readKubeconfig(kubeconfig, undefined));
const agent = new http.Agent({ keepAlive: true });

function peersNow(): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = http.get({ agent, socketPath, path: '/status' }, (answer) => {
      let body = '';
      answer.on('data', (data) => (body += data));
      answer.on('end', () =>
        resolve((JSON.parse(body) as { peers: { total: number } }).peers.total),
      );
    });
    call.on('error', reject);
  });
}

const inForceMs: number[] = [];
const before = await peersNow();
for (let i = 0; i < Number(count); i++) {
  const [name, { annotations, ...spec }] = playedNode(Number(first) + i);
  const body = { kind: 'Node', apiVersion: 'v1', metadata: { name, annotations }, spec };
  await client.call('POST', '/api/v1/nodes', { body });
  const writtenMs = performance.now();
  while ((await peersNow()) < before + i + 1) {
    if (performance.now() - writtenMs > SEEN_MS_MAX) throw new Error(`${name} is no peer in time`);
    await sleep(LOOK_EVERY_MS);
  }
  inForceMs.push(performance.now() - writtenMs);
  // Changes that come one by one; those that come together wait for each other up to 100 ms.
  await sleep(200 + Math.random() * 100);
}
process.stdout.write(JSON.stringify(inForceMs));
client.close();
agent.destroy();
