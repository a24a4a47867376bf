/** Watches the nodes of a cluster and prints a line for each report and each error: `node-watcher KUBECONFIG SILENCE_MS`. */
import { KubernetesClient } from '../../../src/cluster/kubernetes/client.ts';
import { CollectionWatch, TIMING } from '../../../src/cluster/kubernetes/collection-watch.ts';
import { readKubeconfig } from '../../../src/cluster/kubernetes/kubeconfig.ts';

const [, , kubeconfig = '', silenceMs = ''] = process.argv;
const client = new KubernetesClient(await readKubeconfig(kubeconfig, undefined));
const say = (...words: string[]): void => void process.stdout.write(`${words.join(' ')}\n`);
const wish = {
  path: '/api/v1/nodes',
  reduce: () => true,
  onReport: ({ records }: { records: ReadonlyMap<string, unknown> }) =>
    say('nodes', ...[...records.keys()].sort()),
  onError: (error: Error) => say('error', error.message),
};
const timing = { ...TIMING, silenceMs: Number(silenceMs) };
await new CollectionWatch(client, wish, timing).run(new AbortController().signal);
