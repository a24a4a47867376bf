/** What other pod networks leave on a host: their devices and rules take pods' packets out of the overlay. */
import type { CniNetwork } from './cni-config.ts';
import { isOurs } from './cni-config.ts';

interface Mark {
  name: string;
  devices: RegExp;
  /** of iptables */
  chains: RegExp;
  /** types of CNI plugins */
  types: readonly string[];
}

const MARKS: readonly Mark[] = [
  {
    name: 'Calico',
    devices: /^(cali[0-9a-f]{11}|vxlan(-v6)?\.calico|bpf(in|out)\.cali|wireguard\.cali)$/,
    chains: /^:cali-/m,
    types: ['calico'],
  },
  {
    name: 'Cilium',
    devices: /^(cilium_(host|net|vxlan|geneve|wg0)|lxc_health)$/,
    chains: /^:(OLD_)?CILIUM_/m,
    types: ['cilium-cni'],
  },
  {
    name: 'Weave Net',
    devices: /^(weave|datapath|vethwe-(bridge|datapath)|vxlan-6784)$/,
    chains: /^:WEAVE/m,
    types: ['weave-net'],
  },
  {
    name: 'kube-router',
    devices: /^(kube-bridge|kube-dummy-if|tun-[0-9a-f]{11})$/,
    chains: /^:KUBE-(ROUTER|POD-FW|NWPLCY)-/m,
    types: [],
  },
  {
    name: 'Antrea',
    devices: /^(antrea-(gw0|tun0|egress0)|genev_sys_6081)$/,
    chains: /^:ANTREA-/m,
    types: ['antrea'],
  },
  {
    name: 'OVN-Kubernetes',
    devices: /^ovn-k8s-mp\d+$/,
    chains: /^:OVN-KUBE-/m,
    types: ['ovn-k8s-cni-overlay'],
  },
];

export interface OtherCni {
  name: string;
  /** "device cali0123456789a", "rules in iptables", "10-calico.conflist" */
  left: string[];
}

/** Pure: on names of devices, `iptables-save` and the networks of /etc/cni/net.d. */
export function otherCnisIn(
  devices: readonly string[],
  iptables: string,
  networks: readonly CniNetwork[],
): OtherCni[] {
  return MARKS.flatMap((mark) => {
    const found = devices.filter((name) => mark.devices.test(name));
    const [file] = networks.filter(
      (each) => !isOurs(each) && each.types.some((t) => mark.types.includes(t)),
    );
    const left = [
      ...found.slice(0, 2).map((name) => `device ${name}`),
      ...(mark.chains.test(iptables) ? ['rules in iptables'] : []),
      ...(file ? [file.file] : []),
    ];
    return left.length > 0 ? [{ name: mark.name, left }] : [];
  });
}
