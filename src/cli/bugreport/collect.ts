/** What a bug report consists of. Nothing of it is needed: what is missing is told with its reason. */
import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { CNI_CONFIG_FOLDER, readCniNetworks } from '../../host/cni-config.ts';
import { messageOf } from '../../shared/errors.ts';
import {
  printable,
  printableJson,
  printableLines,
  SAID_CHARACTERS_MAX,
} from '../../shared/printable.ts';
import { programVersion } from '../../shared/version.ts';
import { fetchPage } from '../client.ts';
import { redact, secretsIn } from './redact.ts';

export interface Item {
  name: string;
  what: string;
  /** '' when it is missing */
  text: string;
  missing: string | null;
}

/** Where to look; the rest is asked from the daemon. */
export interface Places {
  adminSocket: string;
  subnetFile: string;
  environmentFile: string;
  unit: string;
}

const run = promisify(execFile);
const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
const TIMEOUT_MS = 10_000;
const OUTPUT_BYTES_MAX = 32 << 20;
const JOURNAL_LINES = '500';
/** The daemon asks the API server first. */
const KUBERNETES_MS = 15_000;
const CNI_FILES_MAX = 20;
const CNI_BYTES_MAX = 256 << 10;

const PAGES: readonly [page: string, what: string][] = [
  ['status', 'state of the daemon, its counters and warnings'],
  ['peers', 'the other nodes: subnets, addresses, MACs'],
  ['drops', 'dropped packets by reason, headers of some'],
  ['config', 'options and network config in force'],
  ['history', 'traffic of the last two minutes'],
];

const COMMANDS: readonly [name: string, what: string, command: string, args: string[]][] = [
  ['ip-link.json', 'network devices', 'ip', ['-d', '-j', '-s', 'link']],
  ['ip-addr.json', 'their addresses', 'ip', ['-d', '-j', 'addr']],
  ['ip-route-4.json', 'IPv4 routes', 'ip', ['-4', '-d', '-j', 'route', 'show', 'table', 'all']],
  ['ip-route-6.json', 'IPv6 routes', 'ip', ['-6', '-d', '-j', 'route', 'show', 'table', 'all']],
  ['ip-rule.json', 'routing rules', 'ip', ['-j', 'rule']],
  ['nft.txt', 'nftables rules', 'nft', ['list', 'ruleset']],
  ['iptables.txt', 'iptables rules, IPv4', 'iptables-save', ['-c']],
  ['ip6tables.txt', 'iptables rules, IPv6', 'ip6tables-save', ['-c']],
];

const SYSCTLS = [
  'net/ipv4/ip_forward',
  'net/ipv6/conf/all/forwarding',
  'net/ipv4/conf/all/rp_filter',
  'net/ipv4/conf/default/rp_filter',
  'net/bridge/bridge-nf-call-iptables',
  'net/core/rmem_max',
  'net/core/wmem_max',
  'net/core/netdev_max_backlog',
  'net/ipv4/tcp_congestion_control',
  'net/ipv4/ping_group_range',
];

export async function collect(places: Places): Promise<Item[]> {
  const raw = [
    await item(
      'versions.json',
      'versions of weft, Node and the kernel; size of the machine',
      versions,
    ),
    ...(await Promise.all(
      PAGES.map(([page, what]) =>
        item(`daemon/${page}.json`, what, async () =>
          pretty(await fetchPage(places.adminSocket, `/${page}`)),
        ),
      ),
    )),
    ...(await Promise.all(
      COMMANDS.map(([name, what, command, args]) =>
        item(`host/${name}`, what, () => output(command, args)),
      ),
    )),
    ...(await kubernetesItems(places.adminSocket)),
    ...(await cniItems()),
    await item('host/sysctl.txt', 'kernel settings that matter here', sysctls),
    await item('host/udp.txt', "the kernel's UDP counters", () =>
      readFile('/proc/net/snmp', 'utf8'),
    ),
    await item('journal.txt', `the last ${JOURNAL_LINES} lines that ${places.unit} logged`, () =>
      journal(places.unit),
    ),
    await item('subnet.env', 'the subnet file', () => readFile(places.subnetFile, 'utf8')),
    await item('weftd.env', 'the environment file of the service', () =>
      readFile(places.environmentFile, 'utf8'),
    ),
  ];
  const secrets = await knownSecrets(raw);
  return raw.map((each) => ({
    ...each,
    text: printableLines(redact(each.text, secrets)),
    missing: each.missing === null ? null : redact(each.missing, secrets),
  }));
}

/** One line per item: what a reader should know before the file leaves the machine. */
export function manifestOf(items: readonly Item[]): string {
  const width = Math.max(...items.map(({ name }) => name.length));
  return items
    .map(
      ({ name, what, missing }) =>
        `${name.padEnd(width)}  ${what}${missing ? ` (missing: ${missing})` : ''}\n`,
    )
    .join('');
}

async function item(name: string, what: string, read: () => Promise<string>): Promise<Item> {
  try {
    return { name, what, text: await read(), missing: null };
  } catch (error) {
    const [first = ''] = messageOf(error).split('\n');
    return { name, what, text: '', missing: printable(first, SAID_CHARACTERS_MAX) };
  }
}

/** The own Node, where the daemon's store is Kubernetes. */
async function kubernetesItems(socket: string): Promise<Item[]> {
  const status = await fetchPage(socket, '/status').catch(() => undefined);
  const store = status?.['store'] as { kubernetes?: unknown } | undefined;
  if (!store?.kubernetes) return [];
  const what = "this node's Node object: podCIDRs, conditions, addresses, flannel's annotations";
  const read = async (): Promise<string> =>
    pretty(await fetchPage(socket, '/kubernetes', KUBERNETES_MS));
  return [await item('daemon/kubernetes.json', what, read)];
}

/** What container runtimes read, where there is any. */
async function cniItems(): Promise<Item[]> {
  const networks = (await readCniNetworks()) ?? [];
  return Promise.all(
    networks.slice(0, CNI_FILES_MAX).map(({ file }, i) =>
      item(`host/cni/${i + 1}-${shortName(file)}`, 'CNI configuration', async () => {
        const place = path.join(CNI_CONFIG_FOLDER, file);
        const { size } = await stat(place);
        if (size > CNI_BYTES_MAX) throw new Error(`${size} bytes are no CNI configuration`);
        return readFile(place, 'utf8');
      }),
    ),
  );
}

/** For an archive, whose names are short. */
function shortName(file: string): string {
  return file.replace(/[^\w.-]/g, '_').slice(-50);
}

async function versions(): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return pretty({
    weft: programVersion(),
    node: process.version,
    kernel: os.release(),
    kernelVersion: os.version(),
    machine: os.machine(),
    system: /^PRETTY_NAME="?([^"\n]*)/m.exec(release)?.[1] ?? null,
    cpus: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    at: new Date().toISOString(),
  });
}

async function output(command: string, args: readonly string[]): Promise<string> {
  const options = { env: ENVIRONMENT, timeout: TIMEOUT_MS, maxBuffer: OUTPUT_BYTES_MAX };
  try {
    return (await run(command, args, options)).stdout;
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    if (code === 'ENOENT') throw new Error(`${command} is not installed`);
    throw new Error(`${command}: ${stderr?.trim() || messageOf(error)}`);
  }
}

async function journal(unit: string): Promise<string> {
  const text = await output('journalctl', [
    '-u',
    unit,
    '-n',
    JOURNAL_LINES,
    '--no-pager',
    '-o',
    'short-iso',
  ]);
  if (/^-- No entries --/m.test(text)) throw new Error(`the journal has nothing of ${unit}`);
  return text;
}

async function sysctls(): Promise<string> {
  const lines = SYSCTLS.map(async (name) => {
    const value = await readFile(`/proc/sys/${name}`, 'utf8').catch(() => '(not there)');
    return `${name.replaceAll('/', '.')} = ${value.trim()}\n`;
  });
  return (await Promise.all(lines)).join('');
}

function pretty(value: object): string {
  return `${printableJson(value, 2)}\n`;
}

/** From our own environment, the daemon's command line and environment (where we may read them) and the environment file. */
async function knownSecrets(items: readonly Item[]): Promise<string[]> {
  const textOf = (name: string): string => items.find((each) => each.name === name)?.text ?? '';
  const pid = /"pid": (\d+)/.exec(textOf('daemon/status.json'))?.[1];
  const words = async (file: string): Promise<string[]> =>
    (await readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')).split('\0');
  const isOurs = (variable: string): boolean => variable.startsWith('FLANNELD_');
  const own = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
  const daemons =
    pid === undefined
      ? []
      : [...(await words('cmdline')), ...(await words('environ')).filter(isOurs)];
  const file = textOf('weftd.env')
    .split('\n')
    .map((line) => line.trim().replace(/=\s*(["'])(.*)\1$/, '=$2'));
  return secretsIn([...own.filter(isOurs), ...daemons, ...file]);
}
