/** Flag values → what the daemon works with, each checked: nothing that was asked for is silently ignored. */
import { availableParallelism } from 'node:os';
import { parseAddress } from '../../shared/address.ts';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { FEATURE, FEATURES_ALL, type FeatureName } from '../../shared/layout.ts';
import { WORKERS_MAX } from '../../shared/limits.ts';
import type { SourceCheck } from '../../shared/worker-task.ts';
import { LOG_LEVELS, type LogLevel } from '../log.ts';
import type { Values } from './flags.ts';
import { OPTIONS, type Option } from './options.ts';

export interface Settings {
  storeFolder: string;
  interfaces: readonly string[];
  interfacePatterns: readonly RegExp[];
  canReach: string;
  publicIp: string;
  publicIpv6: string;
  subnetFile: string;
  renewMarginMs: number;
  workers: number;
  features: number;
  sourceCheck: SourceCheck;
  adminSocket: string;
  stateFolder: string;
  logFormat: 'auto' | 'text' | 'json';
  logLevel: LogLevel;
}

function refuse(message: string): never {
  throw new WeftError('ERR_USAGE', EXIT.usage, message);
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
export function settingsWarnings(values: Values): string[] {
  return askedInVain(values, 'warn').map(
    ({ name }) => `--${name} is not supported yet and has no effect`,
  );
}

/** Throws WeftError naming the flag: ERR_USAGE, ERR_RENEW_MARGIN or ERR_STORE_KIND. */
export function toSettings(values: Values): Settings {
  if (values['kube-subnet-mgr'] === true) refuseStore('Kubernetes');
  for (const { name } of askedInVain(values, 'refuse'))
    refuse(`--${name} is not supported yet; remove it`);
  const margin = values['subnet-lease-renew-margin'] as number;
  if (margin < 1 || margin > 1439) {
    throw new WeftError(
      'ERR_RENEW_MARGIN',
      EXIT.failure,
      `--subnet-lease-renew-margin ${margin}: must be 1 to 1439 minutes`,
    );
  }
  return {
    storeFolder: storeFolder(values['store'] as string),
    interfaces: values['iface'] as readonly string[],
    interfacePatterns: (values['iface-regex'] as readonly string[]).map(parsePattern),
    canReach: parseCanReach(values['iface-can-reach'] as string),
    publicIp: values['public-ip'] as string,
    publicIpv6: values['public-ipv6'] as string,
    subnetFile: values['subnet-file'] as string,
    renewMarginMs: margin * 60_000,
    workers: parseWorkers(values['workers'] as number | 'auto'),
    features: parseOffload(values['offload'] as string),
    sourceCheck: oneOf(values, 'source-check', ['lease', 'vtep', 'off'] as const),
    adminSocket: values['admin-socket'] as string,
    stateFolder: values['state-dir'] as string,
    logFormat: oneOf(values, 'log-format', ['auto', 'text', 'json'] as const),
    logLevel: (values['v'] as number) > 0 ? 'debug' : oneOf(values, 'log-level', LOG_LEVELS),
  };
}

function storeFolder(store: string): string {
  if (store.startsWith('file:') && store.length > 5) return store.slice(5);
  return store === 'etcd' ? refuseStore('etcd') : refuse(`--store ${store}: must be file:<dir>`);
}

function refuseStore(kind: string): never {
  const message = `the ${kind} store is not supported yet; use --store=file:<dir>`;
  throw new WeftError('ERR_STORE_KIND', EXIT.unavailable, message);
}

function parseWorkers(count: number | 'auto'): number {
  if (count === 'auto') return Math.min(availableParallelism(), WORKERS_MAX);
  if (count < 1 || count > WORKERS_MAX)
    refuse(`--workers ${count}: must be auto or 1 to ${WORKERS_MAX}`);
  return count;
}

function parseCanReach(text: string): string {
  if (text !== '' && !parseAddress(text)) refuse(`--iface-can-reach ${text}: no IP address`);
  return text;
}

function parsePattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    return refuse(`--iface-regex ${text}: ${messageOf(error)}`);
  }
}

function oneOf<T extends string>(values: Values, name: string, allowed: readonly T[]): T {
  const value = values[name] as T;
  return allowed.includes(value)
    ? value
    : refuse(`--${name} ${value}: must be one of ${allowed.join(', ')}`);
}

/** "auto" = all; "off" = one packet per system call; a list starts from auto: "auto,-pack". FEATURE bits. */
export function parseOffload(text: string): number {
  let features = 0;
  for (const word of text.split(',')) {
    const name = word.replace(/^[+-]/, '');
    if (name === 'auto' || name === 'off') features = name === 'auto' ? FEATURES_ALL : 0;
    else if (!Object.hasOwn(FEATURE, name))
      refuse(`--offload ${word}: must be auto, off or one of ${Object.keys(FEATURE).join(', ')}`);
    else if (word.startsWith('-')) features &= ~FEATURE[name as FeatureName];
    else features |= FEATURE[name as FeatureName];
  }
  return features;
}

/** Names of these FEATURE bits. */
export function featureNames(features: number): FeatureName[] {
  return (Object.keys(FEATURE) as FeatureName[]).filter((name) => (features & FEATURE[name]) !== 0);
}
