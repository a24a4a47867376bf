/** Checks of a node in a Kubernetes cluster: its Node object, the API server's rights, Services. Skipped with other stores. */
import type { OwnObjectEntry } from '../../api/status.ts';
import { whyUnfit } from '../../cluster/kubernetes/kubernetes-registry.ts';
import type { NetworkConfig } from '../../cluster/network-config.ts';
import type { KubeProxy } from '../../host/kube-proxy.ts';
import { type OtherCni, otherCnisIn } from '../../host/other-cni.ts';
import { readSubnetEnv } from '../../host/subnet-env.ts';
import {
  formatAddress,
  formatPrefix,
  holdsPrefix,
  type Prefix,
  parseAddress,
  prefixContains,
  type Words,
} from '../../shared/address.ts';
import { type Check, type Finding, fail, ok, skipped, someOf, warn } from './check.ts';
import { NOT_KUBERNETES } from './rights.ts';
import type { OwnNodeView, Site } from './site.ts';

export function judgePodCidr(own: OwnNodeView, config: NetworkConfig): Finding {
  const { nodeName, podCidrs } = own;
  const why = whyUnfit({ name: nodeName ?? '(not known)', podCidrs }, config);
  if (why === '') return ok(`${podCidrs.join(', ')} of Node ${nodeName}, inside Network`);
  const [text = '', fix = ''] = why.split(/: (.*)/s);
  return fail(text, fix);
}

export function judgeAnnotations(own: OwnObjectEntry): Finding {
  const { annotated, problem, nodeName } = own;
  if (annotated) return ok(`Node ${nodeName} says what peers must know`);
  if (problem === '')
    return warn(`Node ${nodeName} is not annotated yet`, 'weft status says what it waits for');
  return fail(
    `Node ${nodeName} is not annotated as it should be: ${problem}`,
    `kubectl describe node ${nodeName}, and weftd's log on this node`,
  );
}

export function judgeRights(forbidden: readonly string[]): Finding {
  if (forbidden.length === 0) return ok('the API server forbade nothing that weft asked for');
  return fail(
    `the API server forbids: ${someOf(forbidden)}`,
    "kubectl apply -f deploy/kubernetes/rbac.yaml, and check that weft's pods run with its ServiceAccount",
  );
}

/** `addresses`: of Services and of the API server. */
export function judgeServices(addresses: readonly Words[], networks: readonly Prefix[]): Finding {
  const inside = addresses.filter((words) =>
    networks.some((range) => prefixContains(range, words)),
  );
  if (addresses.length === 0) return skipped('no address of a Service is to be seen here');
  const [first] = inside;
  const ranges = networks.map(formatPrefix).join(', ');
  if (!first) return ok(`${addresses.length} addresses seen, all outside of ${ranges}`);
  return fail(
    `addresses of Services or of the API server are inside Network ${ranges}: ${someOf(inside.map(formatAddress))}; a pod can get the same address`,
    "give the API server another --service-cluster-ip-range, or the network config and kube-controller-manager's --cluster-cidr another Network",
  );
}

/** `own`: this node's subnets. */
export function judgeKubeProxy(proxy: KubeProxy, own: readonly Prefix[]): Finding {
  const { mode, clusterCidrs, masquerades } = proxy;
  if (!mode)
    return warn(
      'no rules of kube-proxy on this host: pods reach Services only if another program serves them',
      'kubectl -n kube-system get pods -l k8s-app=kube-proxy -o wide; its log says why',
    );
  const fits = (subnet: Prefix): boolean =>
    clusterCidrs.some((cidr) => holdsPrefix(cidr, subnet)) ||
    // One without a range of this family marks by interface, or not at all.
    !clusterCidrs.some(({ bits }) => bits >= 96 === subnet.bits >= 96);
  const stray = own.find((subnet) => !fits(subnet));
  const cidrs = clusterCidrs.map(formatPrefix).join(', ');
  if (stray)
    return warn(
      `kube-proxy (${mode}) takes ${cidrs} for the pods' network, this node's pods are in ${formatPrefix(stray)}: Services see the node's address, not the pod's`,
      "set kube-proxy's clusterCIDR (--cluster-cidr) to Network, and restart it",
    );
  if (!masquerades)
    return warn(
      `kube-proxy (${mode}) has no rule that masquerades: answers of Services to other hosts go astray`,
      'restart kube-proxy, and look for what removes its rules',
    );
  return ok(`${mode}${cidrs ? `, clusterCIDR ${cidrs}` : ''}, masquerades`);
}

export function judgeOtherCnis(found: readonly OtherCni[]): Finding {
  if (found.length === 0) return ok('nothing of another pod network');
  const list = found.map(({ name, left }) => `${name} (${left.join(', ')})`);
  return warn(
    `left by another pod network, or still running: ${list.join('; ')}`,
    'remove its DaemonSet and its files in /etc/cni/net.d, then restart this node, which removes devices and rules',
  );
}

function isKubernetes(site: Site): boolean {
  return site.settings?.store.kind === 'kubernetes';
}

export const KUBERNETES_CHECKS: readonly Check[] = [
  {
    id: 'pod-cidr',
    group: 'kubernetes',
    severity: 'fail',
    title: 'podCIDR inside Network',
    run: async (site) => {
      if (!isKubernetes(site)) return skipped(NOT_KUBERNETES);
      const own = await site.ownNode();
      const config = await site.config();
      if (!own) return skipped('neither the daemon nor the API server can be asked');
      return config ? judgePodCidr(own, config) : skipped('no network config');
    },
  },
  {
    id: 'node-annotations',
    group: 'kubernetes',
    severity: 'fail',
    title: 'annotations of the own Node',
    run: async (site) => {
      if (!isKubernetes(site)) return skipped(NOT_KUBERNETES);
      const own = (await site.daemon())?.store.kubernetes;
      return own ? judgeAnnotations(own) : skipped('no daemon to ask');
    },
  },
  {
    id: 'api-rights',
    group: 'kubernetes',
    severity: 'fail',
    title: 'rights at the API server',
    run: async (site) => {
      if (!isKubernetes(site)) return skipped(NOT_KUBERNETES);
      const own = (await site.daemon())?.store.kubernetes;
      return own ? judgeRights(own.forbidden) : skipped('no daemon to ask');
    },
  },
  {
    id: 'service-range',
    group: 'kubernetes',
    severity: 'fail',
    title: 'Services outside Network',
    run: async (site) => {
      if (!isKubernetes(site)) return skipped(NOT_KUBERNETES);
      const config = await site.config();
      if (!config) return skipped('no network config');
      const networks = [config.ipv4, config.ipv6].flatMap((range) => range?.network ?? []);
      const proxy = await site.kubeProxy().catch(() => undefined);
      const server = (await site.daemon())?.store.kubernetes?.server;
      const hosts = [
        process.env['KUBERNETES_SERVICE_HOST'] ?? '',
        server && URL.canParse(server) ? new URL(server).hostname.replace(/^\[|\]$/g, '') : '',
      ];
      const known = hosts.map(parseAddress).filter((words) => words !== undefined);
      return judgeServices([...known, ...(proxy?.serviceAddresses ?? [])], networks);
    },
  },
  {
    id: 'kube-proxy',
    group: 'kubernetes',
    severity: 'warn',
    title: 'kube-proxy',
    needsRoot: true,
    run: async (site) => {
      if (!isKubernetes(site)) return skipped(NOT_KUBERNETES);
      const { subnets } = await readSubnetEnv(site.settings?.subnetFile ?? '');
      const own = [subnets?.subnet4, subnets?.subnet6].flatMap((subnet) => subnet ?? []);
      return judgeKubeProxy(await site.kubeProxy(), own);
    },
  },
  {
    id: 'other-cni',
    group: 'kubernetes',
    severity: 'warn',
    title: 'other pod networks',
    needsRoot: true,
    run: async (site) => {
      if (!isKubernetes(site)) return skipped(NOT_KUBERNETES);
      const names = (await site.links()).map(({ ifname }) => ifname);
      const { iptables } = await site.proxyTexts();
      return judgeOtherCnis(otherCnisIn(names, iptables, (await site.cniNetworks()) ?? []));
    },
  },
];
