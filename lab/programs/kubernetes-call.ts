/** One call to an API server: `kubernetes-call KUBECONFIG METHOD PATH`, the body on stdin; prints the answer. */
import { text } from 'node:stream/consumers';
import { KubernetesClient, MERGE_PATCH } from '../../src/cluster/kubernetes/client.ts';
import { readKubeconfig } from '../../src/cluster/kubernetes/kubeconfig.ts';
import { messageOf } from '../../src/shared/errors.ts';

const [, , kubeconfig = '', method = '', path = ''] = process.argv;
const body = await text(process.stdin);
const client = new KubernetesClient(await readKubeconfig(kubeconfig, undefined));
try {
  const options = body === '' ? {} : { body: JSON.parse(body) as unknown };
  const type = method === 'PATCH' ? { type: MERGE_PATCH } : {};
  process.stdout.write(JSON.stringify(await client.call(method, path, { ...options, ...type })));
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
client.close();
