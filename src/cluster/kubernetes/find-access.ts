/** What client-go's BuildConfigFromFlags makes of the same two flags, and its in-cluster config. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type Access, accessError, serverUrl } from './access.ts';
import { readKubeconfig } from './kubeconfig.ts';

/** --kube-api-url and --kubeconfig-file; '' is not given. */
export interface AccessSettings {
  apiUrl: string;
  kubeconfigFile: string;
}

/** What a pod knows; tests bring their own. */
export interface Pod {
  environment: Readonly<Record<string, string | undefined>>;
  /** with token, ca.crt and namespace */
  serviceAccountFolder: string;
}

const THIS_POD: Pod = {
  environment: process.env,
  serviceAccountFolder: '/var/run/secrets/kubernetes.io/serviceaccount',
};

/**
 * With a kubeconfig its current context counts, with the URL in the place of the context's server; with a URL alone there are no
 * credentials; with neither we are in a pod. Throws WeftError ERR_KUBE_ACCESS: what is wrong, in which file, what to do.
 */
export async function findAccess(settings: AccessSettings, pod: Pod = THIS_POD): Promise<Access> {
  const { apiUrl, kubeconfigFile } = settings;
  const wanted = apiUrl === '' ? undefined : apiUrl;
  if (kubeconfigFile !== '') return readKubeconfig(kubeconfigFile, wanted);
  if (wanted === undefined) return accessOfPod(pod);
  const server = serverUrl(wanted, '--kube-api-url', false);
  return { server, namespace: undefined, credentials: {} };
}

async function accessOfPod({ environment, serviceAccountFolder }: Pod): Promise<Access> {
  const host = environment['KUBERNETES_SERVICE_HOST'];
  const port = environment['KUBERNETES_SERVICE_PORT'];
  if (!host || !port)
    throw accessError(
      'this is not a pod of a Kubernetes cluster (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set): give --kubeconfig-file or --kube-api-url',
    );
  const file = (name: string): string => path.join(serviceAccountFolder, name);
  const server = serverUrl(
    `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT',
    true,
  );
  const namespace = await readFile(file('namespace'), 'utf8').then(
    (text) => text.trim() || undefined,
    () => undefined,
  );
  return {
    server,
    namespace,
    credentials: { ca: { file: file('ca.crt') }, tokenFile: file('token') },
  };
}
