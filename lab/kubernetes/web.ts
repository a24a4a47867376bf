/** What pods of the lab do: each answers HTTP with its own name. */
import type { KubernetesObject } from '../../src/cluster/kubernetes/object.ts';
import { WEFT_IMAGE } from './cluster-image.ts';

export const WEB_LABEL = 'app=web';
/** Where a node answers for the pod on it. */
export const WEB_HOST_PORT = 8088;
/** The Service's address, the first of the range that is free for such wishes. */
export const WEB_SERVICE = '10.96.0.80';

const SERVER = `
const { createServer } = require('node:http');
process.on('SIGTERM', () => process.exit());
createServer((_, answer) => answer.end(process.env.HOSTNAME)).listen(80);
`;

/** A pod on every node, with a host port, and a Service with a ClusterIP before them. */
export function webObjects(): (KubernetesObject & { spec: object })[] {
  const labels = { app: 'web' };
  const container = {
    name: 'web',
    image: WEFT_IMAGE,
    imagePullPolicy: 'Never',
    command: ['node', '-e', SERVER],
    ports: [{ containerPort: 80, hostPort: WEB_HOST_PORT }],
    readinessProbe: { httpGet: { port: 80 }, periodSeconds: 1 },
  };
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 1,
            // Stock nodes have no kubelet that would say so.
            nodeSelector: { 'kubernetes.io/os': 'linux' },
            containers: [container],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'default' },
      spec: { selector: labels, clusterIP: WEB_SERVICE, ports: [{ port: 80 }] },
    },
  ];
}
