/** What kube-proxy wrote on this host: by which means Services reach pods, their addresses, and what it takes for the pods' network. */
import { type Prefix, parseAddress, parsePrefix, type Words } from '../shared/address.ts';
import { type Exec, exec, isMissingCommand } from './exec.ts';
import type { AddressedLink } from './ip-json.ts';

export interface KubeProxy {
  /** undefined: nothing of it is there */
  mode: 'iptables' | 'ipvs' | 'nftables' | undefined;
  /** of Services, as far as rules or the device of ipvs show them */
  serviceAddresses: readonly Words[];
  /** its clusterCIDR, where rules have it: what comes from elsewhere is masqueraded */
  clusterCidrs: readonly Prefix[];
  /** packets to Services that it marked are masqueraded */
  masquerades: boolean;
}

/** What its rules are read from. */
export interface ProxyTexts {
  /** `iptables-save` and `ip6tables-save` */
  iptables: string;
  /** `nft list table ip kube-proxy`, and ip6 */
  nft: string;
}

/** Where kube-proxy keeps the addresses of Services in its mode ipvs. */
const IPVS_DEVICE = 'kube-ipvs0';

export async function readProxyTexts(run: Exec = exec): Promise<ProxyTexts> {
  const saves = ['iptables-save', 'ip6tables-save'].map((name) => textOf(run, name, []));
  const tables = ['ip', 'ip6'].map((family) =>
    textOf(run, 'nft', ['list', 'table', family, 'kube-proxy'], true),
  );
  const [iptables, nft] = await Promise.all([Promise.all(saves), Promise.all(tables)]);
  return { iptables: iptables.join('\n'), nft: nft.join('\n') };
}

/** '' where the host does not have the command; with `mayFail` also where it has no such table. */
async function textOf(
  run: Exec,
  command: string,
  args: readonly string[],
  mayFail = false,
): Promise<string> {
  try {
    return await run(command, args);
  } catch (error) {
    if (mayFail || isMissingCommand(error)) return '';
    throw error;
  }
}

/** Pure. */
export function kubeProxyIn(
  { iptables, nft }: ProxyTexts,
  links: readonly Pick<AddressedLink, 'ifname' | 'addr_info'>[],
): KubeProxy {
  const rules = iptables
    .split('\n')
    .filter((line) => /^-A KUBE-(SERVICES|SVC-|POSTROUTING)/.test(line));
  const device = links.find(({ ifname }) => ifname === IPVS_DEVICE);
  const tables = nft.includes('table ip');
  const mode = device ? 'ipvs' : tables ? 'nftables' : rules.length > 0 ? 'iptables' : undefined;
  const texts = [
    ...(device?.addr_info ?? []).map(({ local }) => local),
    ...rules.flatMap((rule) => /^-A KUBE-SERVICES .*-d ([\da-f.:]+)\//.exec(rule)?.[1] ?? []),
    ...valuesOf(nft, /\bip6? daddr ([\da-f.:]+) /g),
    ...valuesOf(nft, /^\s*([\da-f.:]+) (?:\. )?(?:tcp|udp|sctp) \. \d+ : goto service-/gm),
  ];
  const cidrs = [
    ...rules.flatMap((rule) => / ! -s (\S+) .*-j KUBE-MARK-MASQ/.exec(rule)?.[1] ?? []),
    ...valuesOf(nft, /\bip6? saddr != ([\da-f.:]+\/\d+) .*jump mark-for-masquerade/g),
  ];
  const masquerade = /^-A KUBE-POSTROUTING .*-j MASQUERADE/;
  return {
    mode,
    serviceAddresses: [...new Set(texts)].map(parseAddress).filter((words) => words !== undefined),
    clusterCidrs: [...new Set(cidrs)].flatMap((text) => parsePrefix(text) ?? []),
    masquerades: rules.some((rule) => masquerade.test(rule)) || /\bmasquerade\b/.test(nft),
  };
}

function valuesOf(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, value = '']) => value);
}
