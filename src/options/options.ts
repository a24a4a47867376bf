/**
 * The one table of options: flags, environment, their checks, help, pages and completion come from it. flannel's names and defaults,
 * then weft's own.
 */
import type { SourceCheck } from '../memory/worker-task.ts';
import { WORKERS_MAX } from '../shared/limits.ts';

export interface Option {
  name: string;
  kind: 'string' | 'bool' | 'number' | 'list';
  initial: string | boolean | number | readonly string[];
  help: string;
  group: 'flannel' | 'weft';
  /** it has no effect, and who sets it is told so */
  isInert?: boolean;
  /** never shown: not in logs, not in status */
  secret?: boolean;
  /** the only words that it takes */
  choices?: readonly string[];
  /** the least and the largest number that it takes */
  min?: number;
  max?: number;
  /** the one word that a number option takes besides numbers */
  word?: string;
  /** some of the values of an option whose values are more than a few: a shell offers them */
  samples?: readonly string[];
}

export const LOG_FORMATS = ['auto', 'text', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const FAST_PATH_MODES = ['auto', 'on', 'off'] as const;
export type FastPathMode = (typeof FAST_PATH_MODES)[number];
const SOURCE_CHECKS: readonly SourceCheck[] = ['lease', 'vtep', 'off'];

const PORT_MAX = 65_535;
const DAY_SECONDS = 86_400;

const flannel = (
  name: string,
  kind: Option['kind'],
  initial: Option['initial'],
  help: string,
): Option => ({ name, kind, initial, help, group: 'flannel' });
const inert = (...option: Parameters<typeof flannel>): Option => ({
  ...flannel(...option),
  isInert: true,
});
const own = (...option: Parameters<typeof flannel>): Option => ({
  ...flannel(...option),
  group: 'weft',
});

const KLOG = "klog's; no effect here";

export const OPTIONS: readonly Option[] = [
  flannel(
    'etcd-endpoints',
    'string',
    'http://127.0.0.1:4001,http://127.0.0.1:2379',
    'comma list of etcd endpoints; when one fails the next is taken',
  ),
  flannel('etcd-prefix', 'string', '/coreos.com/network', 'key prefix in etcd'),
  flannel('etcd-keyfile', 'string', '', 'client key for etcd (PEM)'),
  flannel('etcd-certfile', 'string', '', 'client certificate for etcd (PEM)'),
  flannel('etcd-cafile', 'string', '', "authority that signed etcd's certificate (PEM)"),
  flannel('etcd-username', 'string', '', 'etcd user'),
  {
    ...flannel('etcd-password', 'string', '', 'etcd password; better given by the environment'),
    secret: true,
  },
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
  {
    ...flannel(
      'subnet-lease-renew-margin',
      'number',
      60,
      'minutes before expiry to renew the lease',
    ),
    min: 1,
    max: 1439,
  },
  flannel('ip-masq', 'bool', false, 'masquerade traffic that leaves the overlay'),
  flannel(
    'ip-masq-fully-random-disable',
    'bool',
    false,
    'masquerade without fully random source ports',
  ),
  flannel(
    'kube-subnet-mgr',
    'bool',
    false,
    'leases are the Nodes of the Kubernetes API, in the place of --store',
  ),
  flannel(
    'kube-api-url',
    'string',
    '',
    'URL of the Kubernetes API server; if empty, taken from the kubeconfig, else from the pod that weftd runs in',
  ),
  flannel(
    'kube-annotation-prefix',
    'string',
    'flannel.alpha.coreos.com',
    'prefix of the names of Node annotations',
  ),
  flannel('kubeconfig-file', 'string', '', 'kubeconfig: API server address and credentials'),
  flannel('healthz-ip', 'string', '0.0.0.0', 'address of the health server'),
  {
    ...flannel('healthz-port', 'number', 0, 'port of the health server, 0 = off'),
    min: 0,
    max: PORT_MAX,
  },
  {
    ...flannel(
      'iptables-resync',
      'number',
      5,
      'seconds between checks of firewall rules whose changes the kernel does not announce (legacy iptables)',
    ),
    min: 1,
    max: DAY_SECONDS,
  },
  flannel('iptables-forward-rules', 'bool', true, "accept the overlay's forwarded traffic"),
  flannel('ip-blackhole-route', 'bool', false, "keep a blackhole route for this node's subnet"),
  flannel(
    'net-config-path',
    'string',
    '/etc/kube-flannel/net-conf.json',
    'file with the network config, with --kube-subnet-mgr',
  ),
  flannel(
    'set-node-network-unavailable',
    'bool',
    true,
    "clear the Node's condition NetworkUnavailable when ready, with --kube-subnet-mgr",
  ),
  flannel('v', 'number', 0, 'verbosity; 1 and more logs debug messages'),
  inert('vmodule', 'string', '', `verbosity per source file; ${KLOG}`),
  inert('log_backtrace_at', 'string', ':0', `stack trace at a source line; ${KLOG}`),
  {
    ...own('store', 'string', 'etcd', 'where leases are kept: etcd or file:<dir>'),
    samples: ['etcd', 'file:'],
  },
  {
    ...own('workers', 'number', 1, 'worker threads that forward packets; auto = one per core'),
    word: 'auto',
    min: 1,
    max: WORKERS_MAX,
    samples: ['1', '2', '4', '8'],
  },
  {
    ...own('offload', 'string', 'auto', 'auto, off, or a list such as auto,-udpGro,-bulkQueue'),
    samples: ['auto', 'off'],
  },
  {
    ...own('source-check', 'string', 'lease', "how strictly to check received packets' sources"),
    choices: SOURCE_CHECKS,
  },
  {
    ...own(
      'fast-path',
      'string',
      'auto',
      'let the kernel carry TCP over IPv4, past the workers; auto = where its conditions hold, on = the same, with a warning where they do not',
    ),
    choices: FAST_PATH_MODES,
  },
  own(
    'drop-pod-encapsulation',
    'bool',
    true,
    "drop what pods send to the ports at which nodes receive each other's packets; false = pods may forge a node's packets",
  ),
  own('admin-socket', 'string', '/run/weft/weft.sock', 'unix socket for bin/weft'),
  own(
    'admin-listen',
    'string',
    '',
    'port, 127.0.0.1:port or [::1]:port of the web page; loopback only, empty = off',
  ),
  own('state-dir', 'string', '/var/lib/weft', 'directory for state that must survive restarts'),
  own(
    'start-from-memory',
    'bool',
    true,
    "start with what was known last when the store does not answer, until this node's lease ends; false = wait for the store",
  ),
  {
    ...own(
      'probe-seconds',
      'number',
      10,
      'seconds between echoes to each peer, for RTT and loss in weft peers; 0 = only on demand',
    ),
    min: 0,
    max: DAY_SECONDS,
  },
  {
    ...own(
      'reach-port',
      'number',
      8474,
      'TCP port on the overlay address where peers ask for weft ping --all; 0 = off',
    ),
    min: 0,
    max: PORT_MAX,
  },
  {
    ...own(
      'log-format',
      'string',
      'auto',
      'form of the log; auto = text on a terminal and under systemd, else JSON',
    ),
    choices: LOG_FORMATS,
  },
  { ...own('log-level', 'string', 'info', 'lowest level that is logged'), choices: LOG_LEVELS },
];

/** A row of the table. Throws on a name that is not in it. */
export function optionNamed(name: string): Option {
  const option = OPTIONS.find((candidate) => candidate.name === name);
  if (!option) throw new Error(`there is no option ${name}`);
  return option;
}

/** What an option takes, for people: "lease, vtep or off", "auto or 1 to 64"; '' where it is not bounded. */
export function allowedText({ choices, word, min, max }: Option): string {
  if (choices) return `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`;
  if (min === undefined) return '';
  return `${word === undefined ? '' : `${word} or `}${min} to ${max}`;
}

/** What it means and what it takes. */
export function helpOf(option: Option): string {
  const allowed = allowedText(option);
  return allowed === '' ? option.help : `${option.help} (${allowed})`;
}

/** FLANNELD_ and the name in capitals, "-" and "." as "_". */
export function environmentName(option: Pick<Option, 'name'>): string {
  return `FLANNELD_${option.name.toUpperCase().replace(/[-.]/g, '_')}`;
}
