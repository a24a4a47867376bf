/** Checks of what the container runtime needs for pods: the CNI configuration and its plugins, the pods' bridge, their addresses. */
import { findLeftOver, type LeftOver } from '../../host/cni-addresses.ts';
import { CNI_BRIDGE, type CniBridge, cniBridgeIn, staleSubnets } from '../../host/cni-bridge.ts';
import {
  CNI_CONFIG_FOLDER,
  CNI_PLUGIN_FOLDER,
  type CniNetwork,
  isOurs,
  missingPlugins,
} from '../../host/cni-config.ts';
import { readSubnetEnv } from '../../host/subnet-env.ts';
import { formatPrefix } from '../../shared/address.ts';
import { type Check, type Finding, fail, ok, skipped, someOf, warn } from './check.ts';
import { NOT_KUBERNETES } from './rights.ts';
import type { Site } from './site.ts';

/** In a pod the folders are others than the host's, and its kubelet's. */
const IN_A_POD = "a pod can't see the host's folders: run it on the host";
/** Held for nobody: fewer are usual for a while after a restart of the host. */
const LEFT_SHARE = 0.1;

/** `networks`: undefined where the folder is not there. */
export function judgeCniConfig(networks: readonly CniNetwork[] | undefined): Finding {
  const install = 'copy 10-flannel.conflist there (docs/reference/cni-plugin.md)';
  const [first] = networks ?? [];
  if (!first)
    return fail(`no CNI configuration in ${CNI_CONFIG_FOLDER}: no pod can start`, install);
  const place = `${CNI_CONFIG_FOLDER}/${first.file}`;
  if (isOurs(first)) return ok(`${place} comes first, with ${first.types[0]}`);
  if (first.types.length === 0)
    return fail(`${place} comes first, and is not understood`, 'correct or remove it');
  const own = networks?.find(isOurs);
  const text = `${place} comes first, with ${someOf(first.types)}`;
  if (!own) return fail(`${text}; none is weft's or flannel's`, install);
  return fail(
    `${text}: pods do not get the network of ${own.file}`,
    `remove ${place}, then delete the pods that it served`,
  );
}

export function judgeCniPlugins(needed: readonly string[], missing: readonly string[]): Finding {
  if (missing.length === 0) return ok(`${needed.join(', ')} in ${CNI_PLUGIN_FOLDER}`);
  return fail(
    `missing in ${CNI_PLUGIN_FOLDER}, or not executable: ${someOf(missing, 8)}`,
    "install containernetworking-plugins there; flannel is weft's own (docs/reference/cni-plugin.md)",
  );
}

export function judgeCniBridge(
  bridge: CniBridge | undefined,
  stale: readonly string[],
  own: string,
): Finding {
  if (!bridge) return ok('none yet: the first pod makes it');
  const { name, subnets, ports } = bridge;
  const pods = `${ports.length} ${ports.length === 1 ? 'device' : 'devices'} on it`;
  if (stale.length === 0) return ok(`${name} ${subnets.map(formatPrefix).join(', ')}, ${pods}`);
  const drain = ports.length > 0 ? 'drain this node (kubectl drain), then: ' : '';
  return fail(
    `${name} has ${stale.join(', ')}, this node's subnet is ${own}: every new pod fails`,
    `${drain}ip link delete ${name}`,
  );
}

export function judgeLeftOver({ held, left, doubt }: LeftOver): Finding {
  if (doubt !== '') return skipped(doubt);
  const text = `${held.length} addresses held, ${left.length} of them for containers that no longer exist`;
  if (left.length === 0 || left.length < held.length * LEFT_SHARE) return ok(text);
  return warn(
    `${text}: when all are held, no pod can start`,
    'weft cni gc, which lists them, then weft cni gc --delete',
  );
}

async function ownSubnets(site: Site) {
  return (await readSubnetEnv(site.settings?.subnetFile ?? '')).subnets;
}

/** Kubelet tells every container so. */
function isPod(): boolean {
  return process.env['KUBERNETES_SERVICE_HOST'] !== undefined;
}

/** Why the host's folders are not looked at; '' where they are. */
async function whyNot(site: Site): Promise<string> {
  if (isPod()) return IN_A_POD;
  if (site.settings?.store.kind === 'kubernetes') return '';
  const networks = (await site.cniNetworks()) ?? [];
  return networks.some(isOurs) ? '' : NOT_KUBERNETES;
}

export const CNI_CHECKS: readonly Check[] = [
  {
    id: 'cni-config',
    group: 'kubernetes',
    severity: 'fail',
    title: 'CNI configuration',
    run: async (site) => {
      const why = await whyNot(site);
      return why === '' ? judgeCniConfig(await site.cniNetworks()) : skipped(why);
    },
  },
  {
    id: 'cni-plugins',
    group: 'kubernetes',
    severity: 'fail',
    title: 'CNI plugins',
    run: async (site) => {
      const why = await whyNot(site);
      if (why !== '') return skipped(why);
      const own = (await site.cniNetworks())?.find(isOurs);
      if (!own) return skipped("no configuration of weft's or flannel's plugin");
      const needed = [...own.types, 'loopback'];
      return judgeCniPlugins(needed, await missingPlugins(needed));
    },
  },
  {
    id: 'cni-bridge',
    group: 'kubernetes',
    severity: 'fail',
    title: "the pods' bridge",
    run: async (site) => {
      const own = await ownSubnets(site);
      if (!own) return skipped('this node has no subnet yet');
      const named = (await site.cniNetworks())?.find(isOurs)?.bridge;
      const bridge = cniBridgeIn(await site.links(), named ?? CNI_BRIDGE);
      const stale = bridge ? staleSubnets(bridge, own).map(formatPrefix) : [];
      const subnets = [own.subnet4, own.subnet6].flatMap((each) =>
        each ? formatPrefix(each) : [],
      );
      return judgeCniBridge(bridge, stale, subnets.join(', '));
    },
  },
  {
    id: 'cni-addresses',
    group: 'kubernetes',
    severity: 'warn',
    title: "pods' addresses",
    needsRoot: true,
    run: async (site) => {
      if (isPod()) return skipped(IN_A_POD);
      const own = await ownSubnets(site);
      if (!own) return skipped('this node has no subnet yet');
      return judgeLeftOver(await findLeftOver(own));
    },
  },
];
