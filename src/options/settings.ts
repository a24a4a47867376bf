/** Flag values → what the daemon works with, each checked: nothing that was asked for is silently ignored. */
import { availableParallelism } from 'node:os';
import path from 'node:path';
import type { StoreSettings } from '../cluster/store/settings.ts';
import { FEATURE, FEATURES_ALL, type FeatureName } from '../memory/layout.ts';
import type { SourceCheck } from '../memory/worker-task.ts';
import { familyOf, parseAddress } from '../shared/address.ts';
import { EXIT, messageOf, WeftError } from '../shared/errors.ts';
import { WORKERS_MAX } from '../shared/limits.ts';
import { type ListenAddress, parseAdminListen } from './admin-listen.ts';
import type { OptionWarning, Values } from './flags.ts';
import { OPTIONS, type Option } from './options.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Settings {
  store: StoreSettings;
  interfaces: readonly string[];
  interfacePatterns: readonly RegExp[];
  canReach: string;
  publicIp: string;
  publicIpv6: string;
  subnetFile: string;
  renewMarginMs: number;
  /** masquerade and forward rules; see host/firewall */
  masquerade: boolean;
  fullyRandom: boolean;
  forwardRules: boolean;
  resyncMs: number;
  blackholeRoute: boolean;
  healthAddress: string;
  /** 0 = no health server */
  healthPort: number;
  workers: number;
  features: number;
  sourceCheck: SourceCheck;
  adminSocket: string;
  /** the web page; undefined = off */
  adminListen: ListenAddress | undefined;
  stateFolder: string;
  /** 0 = no echoes in the background */
  probeMs: number;
  /** 0 = peers can't ask what this node reaches */
  reachPort: number;
  logFormat: 'auto' | 'text' | 'json';
  logLevel: LogLevel;
}

/** `options`: the flags that the message speaks of, the one to blame first. */
function refuse(message: string, ...options: string[]): never {
  throw new WeftError('ERR_USAGE', EXIT.usage, message, undefined, options);
}

/** Options of parts that are not built yet and that are set to something else than their default. */
function askedInVain(values: Values, kind: 'refuse' | 'warn'): Option[] {
  return OPTIONS.filter(
    (option) =>
      option.unsupported === kind &&
      JSON.stringify(values[option.name]) !== JSON.stringify(option.initial),
  );
}

/** One line for each option that is set and has no effect yet. */
export function settingsWarnings(values: Values): OptionWarning[] {
  return askedInVain(values, 'warn').map(({ name }) => {
    return { option: name, text: `--${name} is not supported yet and has no effect` };
  });
}

/** Throws WeftError at the first fault, with the flags that it is about: ERR_USAGE, ERR_RENEW_MARGIN or ERR_STORE_KIND. */
export function toSettings(values: Values): Settings {
  if (values['kube-subnet-mgr'] === true) {
    const message = 'the Kubernetes store is not supported yet; use --store=etcd or file:<dir>';
    throw new WeftError('ERR_STORE_KIND', EXIT.unavailable, message, undefined, [
      'kube-subnet-mgr',
    ]);
  }
  for (const { name } of askedInVain(values, 'refuse'))
    refuse(`--${name} is not supported yet; remove it`, name);
  const margin = values['subnet-lease-renew-margin'] as number;
  if (margin < 1 || margin > 1439) {
    throw new WeftError(
      'ERR_RENEW_MARGIN',
      EXIT.failure,
      `--subnet-lease-renew-margin ${margin}: must be 1 to 1439 minutes`,
      undefined,
      ['subnet-lease-renew-margin'],
    );
  }
  return {
    store: parseStore(values),
    interfaces: values['iface'] as readonly string[],
    interfacePatterns: (values['iface-regex'] as readonly string[]).map(parsePattern),
    canReach: parseIp(values, 'iface-can-reach'),
    publicIp: parseIp(values, 'public-ip', 4),
    publicIpv6: parseIp(values, 'public-ipv6', 6),
    subnetFile: values['subnet-file'] as string,
    renewMarginMs: margin * 60_000,
    masquerade: values['ip-masq'] as boolean,
    fullyRandom: values['ip-masq-fully-random-disable'] !== true,
    forwardRules: values['iptables-forward-rules'] as boolean,
    resyncMs: numberIn(values, 'iptables-resync', 1, 86_400) * 1000,
    blackholeRoute: values['ip-blackhole-route'] as boolean,
    healthAddress: parseIp(values, 'healthz-ip') || '0.0.0.0',
    healthPort: numberIn(values, 'healthz-port', 0, 65_535),
    workers: parseWorkers(values['workers'] as number | 'auto'),
    features: parseOffload(values['offload'] as string),
    sourceCheck: oneOf(values, 'source-check', ['lease', 'vtep', 'off'] as const),
    adminSocket: values['admin-socket'] as string,
    adminListen: parseAdminListen(values['admin-listen'] as string),
    stateFolder: values['state-dir'] as string,
    probeMs: numberIn(values, 'probe-seconds', 0, 86_400) * 1000,
    reachPort: numberIn(values, 'reach-port', 0, 65_535),
    logFormat: oneOf(values, 'log-format', ['auto', 'text', 'json'] as const),
    logLevel: (values['v'] as number) > 0 ? 'debug' : oneOf(values, 'log-level', LOG_LEVELS),
  };
}

function parseStore(values: Values): StoreSettings {
  const store = values['store'] as string;
  if (store.startsWith('file:') && store.length > 5)
    return { kind: 'file', folder: store.slice(5) };
  if (store !== 'etcd') refuse(`--store ${store}: must be etcd or file:<dir>`, 'store');
  const text = (name: string): string => values[`etcd-${name}`] as string;
  if ((text('keyfile') === '') !== (text('certfile') === ''))
    refuse(
      '--etcd-keyfile and --etcd-certfile belong together: give both or none',
      'etcd-keyfile',
      'etcd-certfile',
    );
  if (text('password') !== '' && text('username') === '')
    refuse(
      '--etcd-password without --etcd-username: give both or none',
      'etcd-password',
      'etcd-username',
    );
  return {
    kind: 'etcd',
    endpoints: parseEndpoints(text('endpoints')),
    prefix: path.posix.join('/', text('prefix')).replace(/\/$/, ''),
    keyFile: text('keyfile'),
    certFile: text('certfile'),
    caFile: text('cafile'),
    username: text('username'),
    password: text('password'),
  };
}

/** flannel hands the list to etcd's client as it is; blanks around a comma are forgiven here. */
function parseEndpoints(text: string): string[] {
  const endpoints = text.split(',').flatMap((part) => part.trim() || []);
  const name = 'etcd-endpoints';
  if (endpoints.length === 0) refuse(`--${name} is empty: give at least one`, name);
  for (const [i, endpoint] of endpoints.entries()) {
    const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
    const isPlain = url && url.pathname === '/' && !url.search && !url.username && !url.password;
    // The endpoint itself is not shown: it may hold a password.
    if (!isPlain || !/^https?:$/.test(url.protocol) || url.hostname === '')
      refuse(`--${name}: number ${i + 1} is not of the form http(s)://host:port`, name);
  }
  return endpoints.map((endpoint) => endpoint.replace(/\/$/, ''));
}

function numberIn(values: Values, name: string, least: number, most: number): number {
  const value = values[name] as number;
  if (value < least || value > most)
    refuse(`--${name} ${value}: must be ${least} to ${most}`, name);
  return value;
}

function parseWorkers(count: number | 'auto'): number {
  if (count === 'auto') return Math.min(availableParallelism(), WORKERS_MAX);
  if (count < 1 || count > WORKERS_MAX)
    refuse(`--workers ${count}: must be auto or 1 to ${WORKERS_MAX}`, 'workers');
  return count;
}

/** An address or "". */
function parseIp(values: Values, name: string, family?: 4 | 6): string {
  const text = values[name] as string;
  const words = text === '' ? undefined : parseAddress(text);
  if (text !== '' && (!words || (family !== undefined && familyOf(words) !== family)))
    refuse(`--${name} ${text}: no ${family ? `IPv${family}` : 'IP'} address`, name);
  return text;
}

/** Go's expressions are JavaScript's but for details; its leading flag group "(?i)" is the one in use. */
function parsePattern(text: string): RegExp {
  const [, flags = '', body = text] = /^\(\?([ims]+)\)(.*)$/s.exec(text) ?? [];
  try {
    return new RegExp(body, flags);
  } catch (error) {
    return refuse(`--iface-regex ${text}: ${messageOf(error)}`, 'iface-regex');
  }
}

function oneOf<T extends string>(values: Values, name: string, allowed: readonly T[]): T {
  const value = values[name] as T;
  return allowed.includes(value)
    ? value
    : refuse(`--${name} ${value}: must be one of ${allowed.join(', ')}`, name);
}

/** "auto" = all; "off" = one packet per system call; a list starts from auto: "auto,-pack". FEATURE bits. */
export function parseOffload(text: string): number {
  let features = 0;
  for (const word of text.split(',')) {
    const name = word.replace(/^[+-]/, '');
    if (name === 'auto' || name === 'off') features = name === 'auto' ? FEATURES_ALL : 0;
    else if (!Object.hasOwn(FEATURE, name))
      refuse(
        `--offload ${word}: must be auto, off or one of ${Object.keys(FEATURE).join(', ')}`,
        'offload',
      );
    else if (word.startsWith('-')) features &= ~FEATURE[name as FeatureName];
    else features |= FEATURE[name as FeatureName];
  }
  return features;
}

/** Names of these FEATURE bits. */
export function featureNames(features: number): FeatureName[] {
  return (Object.keys(FEATURE) as FeatureName[]).filter((name) => (features & FEATURE[name]) !== 0);
}
