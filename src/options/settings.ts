/** Flag values → what the daemon works with, each checked: nothing that was asked for is silently ignored. */
import { availableParallelism } from 'node:os';
import path from 'node:path';
import type { RegistrySettings } from '../cluster/create-registry.ts';
import { annotationNames } from '../cluster/kubernetes/annotations.ts';
import { FEATURE, FEATURES_ALL, type FeatureName } from '../memory/layout.ts';
import type { SourceCheck } from '../memory/worker-task.ts';
import { familyOf, parseAddress } from '../shared/address.ts';
import { EXIT, messageOf, WeftError } from '../shared/errors.ts';
import { WORKERS_MAX } from '../shared/limits.ts';
import { type ListenAddress, parseAdminListen } from './admin-listen.ts';
import type { OptionWarning, Values } from './flags.ts';
import { compileGoPattern } from './go-pattern.ts';
import {
  allowedText,
  type FastPathMode,
  type LogFormat,
  type LogLevel,
  OPTIONS,
  type Option,
  optionNamed,
} from './options.ts';

/** Variables of the process; NODE_NAME, POD_NAME and POD_NAMESPACE are read. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface Settings {
  store: RegistrySettings;
  interfaces: readonly string[];
  interfacePatterns: readonly RegExp[];
  canReach: string;
  publicIp: string;
  publicIpv6: string;
  subnetFile: string;
  renewMarginMs: number;
  /** masquerade, forward and guard rules; see host/firewall */
  masquerade: boolean;
  fullyRandom: boolean;
  forwardRules: boolean;
  dropPodEncapsulation: boolean;
  resyncMs: number;
  blackholeRoute: boolean;
  healthAddress: string;
  /** 0 = no health server */
  healthPort: number;
  workers: number;
  features: number;
  sourceCheck: SourceCheck;
  fastPath: FastPathMode;
  adminSocket: string;
  /** the web page; undefined = off */
  adminListen: ListenAddress | undefined;
  stateFolder: string;
  startFromMemory: boolean;
  /** 0 = no echoes in the background */
  probeMs: number;
  /** 0 = peers can't ask what this node reaches */
  reachPort: number;
  logFormat: LogFormat;
  logLevel: LogLevel;
}

/** `options`: the flags that the message speaks of, the one to blame first. */
function refuse(message: string, ...options: string[]): never {
  throw new WeftError('ERR_USAGE', EXIT.usage, message, undefined, options);
}

/** One line for each option that is set and has no effect. */
export function settingsWarnings(values: Values): OptionWarning[] {
  const inVain = OPTIONS.filter((option) => option.isInert && isSet(values, option));
  return inVain.map(({ name }) => ({ option: name, text: `--${name} has no effect in weft` }));
}

function isSet(values: Values, { name, initial }: Option): boolean {
  return JSON.stringify(values[name]) !== JSON.stringify(initial);
}

/** Throws WeftError at the first fault, with the flags that it is about: ERR_USAGE or ERR_RENEW_MARGIN. */
export function toSettings(values: Values, environment: Environment = process.env): Settings {
  const renewMarginMs = parseRenewMargin(values) * 60_000;
  return {
    store:
      values['kube-subnet-mgr'] === true
        ? parseKubernetes(values, environment)
        : parseStore(values),
    interfaces: values['iface'] as readonly string[],
    interfacePatterns: (values['iface-regex'] as readonly string[]).map(parsePattern),
    canReach: parseIp(values, 'iface-can-reach'),
    publicIp: parseIp(values, 'public-ip', 4),
    publicIpv6: parseIp(values, 'public-ipv6', 6),
    subnetFile: values['subnet-file'] as string,
    renewMarginMs,
    masquerade: values['ip-masq'] as boolean,
    fullyRandom: values['ip-masq-fully-random-disable'] !== true,
    forwardRules: values['iptables-forward-rules'] as boolean,
    dropPodEncapsulation: values['drop-pod-encapsulation'] as boolean,
    resyncMs: numberOf(values, 'iptables-resync') * 1000,
    blackholeRoute: values['ip-blackhole-route'] as boolean,
    healthAddress: parseIp(values, 'healthz-ip') || '0.0.0.0',
    healthPort: numberOf(values, 'healthz-port'),
    workers: parseWorkers(values),
    features: parseOffload(values['offload'] as string),
    sourceCheck: choiceOf<SourceCheck>(values, 'source-check'),
    fastPath: choiceOf<FastPathMode>(values, 'fast-path'),
    adminSocket: values['admin-socket'] as string,
    adminListen: parseAdminListen(values['admin-listen'] as string),
    stateFolder: values['state-dir'] as string,
    startFromMemory: values['start-from-memory'] as boolean,
    probeMs: numberOf(values, 'probe-seconds') * 1000,
    reachPort: numberOf(values, 'reach-port'),
    logFormat: choiceOf<LogFormat>(values, 'log-format'),
    logLevel: (values['v'] as number) > 0 ? 'debug' : choiceOf<LogLevel>(values, 'log-level'),
  };
}

/** As flannel: the Node by its name, or by the pod that runs on it. */
function parseKubernetes(values: Values, environment: Environment): RegistrySettings {
  if (isSet(values, optionNamed('store')))
    refuse('--kube-subnet-mgr and --store: give one of them', 'kube-subnet-mgr', 'store');
  const text = (name: string): string => values[name] as string;
  const named = (name: string): string => environment[name] ?? '';
  const [nodeName, podName, podNamespace] = ['NODE_NAME', 'POD_NAME', 'POD_NAMESPACE'].map(named);
  if (!nodeName && !(podName && podNamespace))
    refuse(
      '--kube-subnet-mgr: which Node is this? Set NODE_NAME, or POD_NAME and POD_NAMESPACE',
      'kube-subnet-mgr',
    );
  const annotationPrefix = text('kube-annotation-prefix');
  annotationNames(annotationPrefix);
  return {
    kind: 'kubernetes',
    apiUrl: text('kube-api-url'),
    kubeconfigFile: text('kubeconfig-file'),
    annotationPrefix,
    configFile: text('net-config-path'),
    setsCondition: values['set-node-network-unavailable'] as boolean,
    nodeName: nodeName as string,
    podName: podName as string,
    podNamespace: podNamespace as string,
  };
}

function parseStore(values: Values): RegistrySettings {
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
  const usesTls = ['cafile', 'certfile'].some((name) => text(name) !== '');
  return {
    kind: 'etcd',
    endpoints: parseEndpoints(text('endpoints'), usesTls ? 'https' : 'http'),
    prefix: path.posix.join(text('prefix')).replace(/(.)\/$/, '$1'),
    keyFile: text('keyfile'),
    certFile: text('certfile'),
    caFile: text('cafile'),
    username: text('username'),
    password: text('password'),
  };
}

/**
 * flannel hands the list to etcd's client as it is, which takes "host:port" too and uses TLS there when it has files for it. Blanks
 * around a comma are forgiven.
 */
function parseEndpoints(text: string, scheme: 'http' | 'https'): string[] {
  const parts = text.split(',').flatMap((part) => part.trim() || []);
  const endpoints = parts.map((part) => (part.includes('://') ? part : `${scheme}://${part}`));
  const name = 'etcd-endpoints';
  if (endpoints.length === 0) refuse(`--${name} is empty: give at least one`, name);
  for (const [i, endpoint] of endpoints.entries()) {
    const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
    const isPlain = url && url.pathname === '/' && !url.search && !url.username && !url.password;
    // The endpoint itself is not shown: it may hold a password.
    if (!isPlain || !/^https?:$/.test(url.protocol) || url.hostname === '')
      refuse(
        `--${name}: number ${i + 1} is not of the form host:port or http(s)://host:port`,
        name,
      );
  }
  return endpoints.map((endpoint) => endpoint.replace(/\/$/, ''));
}

/** A number that the table allows. */
function numberOf(values: Values, name: string): number {
  const option = optionNamed(name);
  const value = values[name] as number;
  if (!isInRange(option, value)) refuse(`--${name} ${value}: must be ${allowedText(option)}`, name);
  return value;
}

function isInRange({ min = -Infinity, max = Infinity }: Option, value: number): boolean {
  return value >= min && value <= max;
}

/** Minutes. flannel ends with another exit code for this one. */
function parseRenewMargin(values: Values): number {
  const name = 'subnet-lease-renew-margin';
  const option = optionNamed(name);
  const margin = values[name] as number;
  if (isInRange(option, margin)) return margin;
  const message = `--${name} ${margin}: must be ${allowedText(option)} minutes`;
  throw new WeftError('ERR_RENEW_MARGIN', EXIT.failure, message, undefined, [name]);
}

function parseWorkers(values: Values): number {
  const isAuto = values['workers'] === optionNamed('workers').word;
  return isAuto ? Math.min(availableParallelism(), WORKERS_MAX) : numberOf(values, 'workers');
}

/** An address or "". */
function parseIp(values: Values, name: string, family?: 4 | 6): string {
  const text = values[name] as string;
  const words = text === '' ? undefined : parseAddress(text);
  if (text !== '' && (!words || (family !== undefined && familyOf(words) !== family)))
    refuse(`--${name} ${text}: not an ${family ? `IPv${family}` : 'IP'} address`, name);
  return text;
}

function parsePattern(text: string): RegExp {
  try {
    return compileGoPattern(text);
  } catch (error) {
    return refuse(`--iface-regex ${text}: ${messageOf(error)}`, 'iface-regex');
  }
}

/** One of the words that the table allows: `T` is the type of these. */
function choiceOf<T extends string>(values: Values, name: string): T {
  const { choices = [] } = optionNamed(name);
  const value = values[name] as T;
  if (!choices.includes(value))
    refuse(`--${name} ${value}: must be one of ${choices.join(', ')}`, name);
  return value;
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
