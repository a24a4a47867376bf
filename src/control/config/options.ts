/** The one table of options: flags, environment and help come from it. flannel's names and defaults, then weft's own. */

export interface Option {
  name: string;
  kind: 'string' | 'bool' | 'number' | 'list';
  initial: string | boolean | number | readonly string[];
  help: string;
  group: 'flannel' | 'weft';
  /**
   * What happens when it is set, because its part is not built yet: refused where it asks for something, a warning where
   * it only tunes what is off anyway.
   */
  unsupported?: 'refuse' | 'warn';
  /** the one word that a number option takes besides numbers */
  word?: string;
}

const flannel = (
  name: string,
  kind: Option['kind'],
  initial: Option['initial'],
  help: string,
): Option => ({
  name,
  kind,
  initial,
  help,
  group: 'flannel',
});
const later = (
  name: string,
  kind: Option['kind'],
  initial: Option['initial'],
  help: string,
): Option => ({
  ...flannel(name, kind, initial, `${help} (not supported yet)`),
  unsupported: 'refuse',
});
const inert = (...option: Parameters<typeof flannel>): Option => ({
  ...later(...option),
  unsupported: 'warn',
});
const own = (
  name: string,
  kind: Option['kind'],
  initial: Option['initial'],
  help: string,
): Option => ({
  name,
  kind,
  initial,
  help,
  group: 'weft',
});

export const OPTIONS: readonly Option[] = [
  inert(
    'etcd-endpoints',
    'string',
    'http://127.0.0.1:4001,http://127.0.0.1:2379',
    'etcd endpoints',
  ),
  inert('etcd-prefix', 'string', '/coreos.com/network', 'etcd prefix'),
  inert('etcd-keyfile', 'string', '', 'client key for etcd'),
  inert('etcd-certfile', 'string', '', 'client certificate for etcd'),
  inert('etcd-cafile', 'string', '', 'certificate authority of etcd'),
  inert('etcd-username', 'string', '', 'etcd user'),
  inert('etcd-password', 'string', '', 'etcd password'),
  flannel(
    'iface',
    'list',
    [],
    'interface (name or address) of the underlay; repeatable, first match wins',
  ),
  flannel(
    'iface-regex',
    'list',
    [],
    "expression for the interface's addresses, then its name; repeatable, tried after --iface",
  ),
  flannel(
    'iface-can-reach',
    'string',
    '',
    'take the interface that reaches this address; tried after --iface-regex',
  ),
  flannel(
    'subnet-file',
    'string',
    '/run/flannel/subnet.env',
    'where to write the subnet for CNI and Docker',
  ),
  flannel('public-ip', 'string', '', 'IPv4 address that peers send to'),
  flannel('public-ipv6', 'string', '', 'IPv6 address that peers send to'),
  flannel(
    'subnet-lease-renew-margin',
    'number',
    60,
    'minutes before expiry to renew the lease, 1-1439',
  ),
  later('ip-masq', 'bool', false, 'masquerade traffic that leaves the overlay'),
  inert('ip-masq-fully-random-disable', 'bool', false, 'no fully random source ports'),
  later('kube-subnet-mgr', 'bool', false, 'use the Kubernetes API as the store'),
  inert('kube-api-url', 'string', '', 'Kubernetes API server'),
  inert('kube-annotation-prefix', 'string', 'flannel.alpha.coreos.com', 'annotation prefix'),
  inert('kubeconfig-file', 'string', '', 'kubeconfig'),
  inert('healthz-ip', 'string', '0.0.0.0', 'address of the health server'),
  later('healthz-port', 'number', 0, 'port of the health server, 0 = off'),
  inert('iptables-resync', 'number', 5, 'seconds between firewall checks'),
  flannel(
    'iptables-forward-rules',
    'bool',
    true,
    'accept forwarded traffic (rules are not installed yet; a policy of ACCEPT is assumed)',
  ),
  later('ip-blackhole-route', 'bool', false, 'blackhole route for the own subnet'),
  inert('net-config-path', 'string', '/etc/kube-flannel/net-conf.json', 'network config file'),
  inert('set-node-network-unavailable', 'bool', true, 'clear the node condition when ready'),
  flannel('v', 'number', 0, 'verbosity; 1 and more logs debug messages'),
  inert('vmodule', 'string', '', 'verbosity per source file'),
  inert('log_backtrace_at', 'string', ':0', 'log a stack trace at a source line'),
  own('store', 'string', 'etcd', 'where leases are kept: file:<dir> (etcd follows)'),
  { ...own('workers', 'number', 1, 'forwarding threads; auto = one per core'), word: 'auto' },
  own('offload', 'string', 'auto', 'auto, off, or a list such as auto,-udpGro'),
  own('source-check', 'string', 'lease', 'what a received packet must prove: lease, vtep or off'),
  own('admin-socket', 'string', '/run/weft/weft.sock', 'unix socket for bin/weft'),
  own('state-dir', 'string', '/var/lib/weft', 'what must survive a restart'),
  own('log-format', 'string', 'auto', 'auto, text or json'),
  own('log-level', 'string', 'info', 'debug, info, warn or error'),
];

/** FLANNELD_ and the name in capitals, "-" and "." as "_". */
export function environmentName(option: Option): string {
  return `FLANNELD_${option.name.toUpperCase().replace(/[-.]/g, '_')}`;
}
