/** The command line of the demo. */
import { readArguments, usage } from '../arguments.ts';
import { KERNEL_BACKEND } from '../lease-file.ts';

const BACKENDS = ['vxlan', 'udp'] as const;
const STORES = ['file', 'etcd', 'kubernetes'] as const;

export interface DemoOptions {
  backend: (typeof BACKENDS)[number];
  store: (typeof STORES)[number];
  json: boolean;
  keep: boolean;
  help: boolean;
  workers?: number;
  /** prefix of a kept lab that is to be removed */
  remove?: string;
}

export const DEMO_HELP = `npm run demo -- [options]

Three weft nodes and one stock kernel VXLAN node in network namespaces, a pod behind each.
Every pod pings every pod, TCP throughput is measured per pair, then everything is removed.

--store kubernetes: a real API server, two nodes with kubelet, containerd and kube-proxy, on which deploy/kubernetes/weft.yaml
runs, and a stock node whose Node was annotated as flanneld does it. Kubernetes is built first, once for each user (minutes).

  --backend vxlan|udp  data plane of the overlay; udp is flannel-UDP, without the kernel node (default vxlan)
  --store file|etcd|kubernetes
                       where the nodes meet: a folder, a real etcd in a namespace of its own, or a real Kubernetes (default file)
  --workers N          worker threads of each weftd, 1 to 64
  --json               one JSON object as the last line of the output
  --keep               leave it running and say how to look around
  --remove NAME        remove what an earlier --keep left (NAME as printed there)
  --help               this text
`;

/** Reads the options; throws (exit 2) and names the option that is wrong. */
export function parseDemoOptions(args: readonly string[]): DemoOptions {
  const values = readValues(args);
  const backend = BACKENDS.find((each) => each === (values.backend ?? 'vxlan'));
  if (!backend) {
    throw usage(`--backend: ${JSON.stringify(values.backend)} is neither vxlan nor udp`);
  }
  const store = STORES.find((each) => each === (values.store ?? 'file'));
  if (!store) {
    throw usage(`--store: ${JSON.stringify(values.store)} is none of ${STORES.join(', ')}`);
  }
  if (store === 'kubernetes' && (backend !== KERNEL_BACKEND || values.workers !== undefined))
    throw usage('--store kubernetes: backend and workers are those of deploy/kubernetes/weft.yaml');
  if (values.remove !== undefined && !/^weft-[0-9a-f]{4}$/.test(values.remove)) {
    throw usage(`--remove: ${JSON.stringify(values.remove)} is not the name of a lab (weft-1a2b)`);
  }
  return {
    backend,
    store,
    json: values.json ?? false,
    keep: values.keep ?? false,
    help: values.help ?? false,
    ...(values.workers !== undefined && { workers: workersOf(values.workers) }),
    ...(values.remove !== undefined && { remove: values.remove }),
  };
}

function readValues(args: readonly string[]) {
  const { values } = readArguments(args, {
    allowPositionals: false,
    options: {
      backend: { type: 'string' },
      store: { type: 'string' },
      workers: { type: 'string' },
      remove: { type: 'string' },
      json: { type: 'boolean' },
      keep: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  return values;
}

function workersOf(text: string): number {
  const workers = Number(text);
  if (/^\d{1,2}$/.test(text) && workers >= 1 && workers <= 64) return workers;
  throw usage(`--workers: ${JSON.stringify(text)} is not a number from 1 to 64`);
}
