/** The cluster's network config (flannel pkg/subnet Config): the JSON under `<prefix>/config`. */
import { z } from 'zod';
import {
  familyOf,
  formatPrefix,
  maskWords,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixContains,
  prefixLength,
  sameWords,
} from '../shared/address.ts';
import { EXIT, messageOf, WeftError } from '../shared/errors.ts';
import { STORE_VALUE_BYTES_MAX } from '../shared/limits.ts';
import { addToAddress } from './lease/arithmetic.ts';

export interface FamilyConfig {
  network: Prefix;
  /** as people write it: 24 for a /24, 64 for an IPv6 /64 */
  subnetLength: number;
  /** first and last subnet to hand out, as prefixes of subnetLength */
  subnetMin: Prefix;
  subnetMax: Prefix;
}

export interface VxlanBackend {
  type: 'vxlan';
  vni: number;
  /** 8472 unless set */
  port: number;
  /** outer MTU in bytes; default is the interface's */
  mtu?: number;
  /** peers on the same link get a plain route */
  directRouting: boolean;
  /** accept packets with a group policy id (which is ignored) */
  gbp: boolean;
}
export interface UdpBackend {
  type: 'udp';
  port: number;
}
/** Command lines, "" = none; see backend/extension.ts. */
export interface ExtensionBackend {
  type: 'extension';
  preStartup: string;
  postStartup: string;
  subnetAdd: string;
  subnetRemove: string;
}
export type Backend =
  | VxlanBackend
  | UdpBackend
  | { type: 'host-gw' }
  | { type: 'alloc' }
  | ExtensionBackend;

export interface NetworkConfig {
  /** rules by nft instead of iptables */
  nftables: boolean;
  ipv4?: FamilyConfig;
  ipv6?: FamilyConfig;
  backend: Backend;
}

const VXLAN_PORT = 8472;
const UDP_PORT = 8285;
const VNI_MAX = 2 ** 24 - 1;

const count = z.number().int().nonnegative();
const shape = z.object({
  enableipv4: z.boolean().default(true),
  enableipv6: z.boolean().default(false),
  enablenftables: z.boolean().default(false),
  network: z.string().optional(),
  ipv6network: z.string().optional(),
  subnetlen: count.default(0),
  subnetmin: z.string().optional(),
  subnetmax: z.string().optional(),
  ipv6subnetlen: count.default(0),
  ipv6subnetmin: z.string().nullish(),
  ipv6subnetmax: z.string().nullish(),
  backend: z.unknown().optional(),
});
const backendShape = z.object({
  type: z.string().default(''),
  vni: count.default(1),
  port: count.max(65535).default(0),
  mtu: count.default(0),
  gbp: z.boolean().default(false),
  learning: z.boolean().default(false),
  directrouting: z.boolean().default(false),
  prestartupcommand: z.string().default(''),
  poststartupcommand: z.string().default(''),
  subnetaddcommand: z.string().default(''),
  subnetremovecommand: z.string().default(''),
});
/** flannel's other backends: they need kernel modules or a cloud that weft has no part in. */
const UNSUPPORTED = ['wireguard', 'ipip', 'ipsec', 'tencent-vpc'];
const SUPPORTED = 'vxlan, udp, host-gw, alloc or extension';

/** Families' rules of flannel's CheckNetworkConfig: largest subnet length, largest network length, derived default. */
const RULES = {
  4: { lengthMax: 30, networkMax: 28, usual: 24, usualUpTo: 22 },
  6: { lengthMax: 126, networkMax: 124, usual: 64, usualUpTo: 62 },
} as const;

/** Keys that are read, as flannel spells them; any case is taken. */
export const NETWORK_CONFIG_KEYS = {
  top: (
    'EnableIPv4 EnableIPv6 EnableNFTables Network IPv6Network SubnetLen SubnetMin SubnetMax IPv6SubnetLen IPv6SubnetMin ' +
    'IPv6SubnetMax Backend'
  ).split(' '),
  backend:
    'Type VNI Port MTU GBP Learning DirectRouting PreStartupCommand PostStartupCommand SubnetAddCommand SubnetRemoveCommand'.split(
      ' ',
    ),
};

function refuse(message: string): never {
  throw new WeftError('ERR_CONFIG', EXIT.config, `network config: ${message}`);
}

/** Parses and validates the config text. Throws WeftError ERR_CONFIG that says what to change. */
export function parseNetworkConfig(text: string): NetworkConfig {
  if (text.length > STORE_VALUE_BYTES_MAX) refuse(`larger than ${STORE_VALUE_BYTES_MAX} bytes`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    refuse(`no valid JSON (${messageOf(error)})`);
  }
  const raw = checkShape(shape, json);
  if (!raw.enableipv4 && !raw.enableipv6) refuse('EnableIPv4 and EnableIPv6 are both false');
  const config: NetworkConfig = {
    backend: parseBackend(raw.backend),
    nftables: raw.enablenftables,
  };
  if (raw.enableipv4) {
    config.ipv4 = parseFamily(4, raw.network, raw.subnetlen, raw.subnetmin, raw.subnetmax);
  }
  if (raw.enableipv6) {
    const { ipv6subnetmin: min, ipv6subnetmax: max } = raw;
    config.ipv6 = parseFamily(6, raw.ipv6network, raw.ipv6subnetlen, min, max);
  }
  if (config.backend.type === 'udp' && raw.enableipv6) {
    refuse('the udp backend carries IPv4 only; use vxlan or EnableIPv6=false');
  }
  return config;
}

/** Everything that {@link parseNetworkConfig} would refuse, part by part; empty when the config can be used. */
export function networkConfigProblems(text: string): string[] {
  const problems: string[] = [];
  const attempt = (work: () => unknown): void => {
    try {
      work();
    } catch (error) {
      const message = messageOf(error).replace(/^network config: /, '');
      if (!problems.includes(message)) problems.push(message);
    }
  };
  const json = lowerKeys(safeJson(text));
  if (typeof json === 'object' && json !== null) {
    // Each part alone, with the others left out or as they must be.
    const { backend, ...families } = json as Record<string, unknown>;
    const issues = [shape.safeParse(json), backendShape.safeParse(lowerKeys(backend ?? {}))];
    const [top, under] = issues.map((result) => result.error?.issues ?? []);
    for (const { path, message } of top ?? []) problems.push(`${path.join('.')}: ${message}`);
    for (const { path, message } of under ?? [])
      problems.push(`Backend.${path.join('.')}: ${message}`.replace(/\.:/, ':'));
    if (under?.length === 0) attempt(() => parseBackend(backend));
    if (top?.length === 0) {
      const alone = (on: 4 | 6): string =>
        JSON.stringify({
          ...families,
          enableipv4: on === 4,
          enableipv6: on === 6,
          backend: { type: 'alloc' },
        });
      const { enableipv4, enableipv6 } = shape.parse(json);
      if (enableipv4) attempt(() => parseNetworkConfig(alone(4)));
      if (enableipv6) attempt(() => parseNetworkConfig(alone(6)));
    }
  }
  if (problems.length === 0) attempt(() => parseNetworkConfig(text));
  return problems;
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Go's decoder takes keys in any case and the last of duplicates. */
function lowerKeys(json: unknown): unknown {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return json;
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key.toLowerCase(), value]));
}

function checkShape<T>(schema: z.ZodType<T>, json: unknown): T {
  const result = schema.safeParse(lowerKeys(json));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  return refuse(`${issue?.path.join('.') || 'value'}: ${issue?.message}`);
}

function parseBackend(json: unknown): Backend {
  if (json === undefined) return { type: 'udp', port: UDP_PORT }; // flannel's real default
  const raw = checkShape(backendShape, json ?? {});
  const type = raw.type.toLowerCase();
  switch (type) {
    case 'udp':
      return { type, port: raw.port || UDP_PORT };
    case 'vxlan':
      return parseVxlan(raw);
    case 'host-gw':
    case 'alloc':
      return { type };
    case 'extension':
      return {
        type,
        preStartup: raw.prestartupcommand,
        postStartup: raw.poststartupcommand,
        subnetAdd: raw.subnetaddcommand,
        subnetRemove: raw.subnetremovecommand,
      };
  }
  return refuseBackend(raw.type, type);
}

/** Unlike other faults of the config this one ends the daemon, as in flannel (exit 1). */
function refuseBackend(written: string, type: string): never {
  const why = UNSUPPORTED.includes(type) ? 'is not supported yet' : 'is unknown';
  const message = `network config: Backend.Type "${written}" ${why}; use ${SUPPORTED}`;
  throw new WeftError('ERR_BACKEND', EXIT.failure, message);
}

function parseVxlan(raw: z.infer<typeof backendShape>): VxlanBackend {
  if (raw.vni > VNI_MAX) refuse(`Backend.VNI ${raw.vni} is larger than ${VNI_MAX}`);
  const backend: VxlanBackend = {
    type: 'vxlan',
    vni: raw.vni,
    port: raw.port || VXLAN_PORT,
    directRouting: raw.directrouting,
    gbp: raw.gbp,
  };
  if (raw.mtu > 0) backend.mtu = raw.mtu;
  return backend;
}

function parseFamily(
  family: 4 | 6,
  networkText: string | undefined,
  givenLength: number,
  minText: string | null | undefined,
  maxText: string | null | undefined,
): FamilyConfig {
  const names = family === 4 ? ['Network', 'Subnet'] : ['IPv6Network', 'IPv6Subnet'];
  const network = networkText === undefined ? undefined : parsePrefix(networkText);
  if (!network || familyOf(network.words) !== family || prefixLength(network) === 0) {
    refuse(
      `${names[0]} "${networkText ?? ''}" is no IPv${family} network such as ${family === 4 ? '10.244.0.0/16' : 'fd00:244::/48'}`,
    );
  }
  const subnetLength = checkLength(family, network, givenLength, `${names[1]}Len`);
  const bits = family === 4 ? 96 + subnetLength : subnetLength;
  const edge = (text: string | null | undefined, name: string): Prefix | undefined => {
    if (!text || text === '0.0.0.0' || text === '::') return undefined;
    const words = parseAddress(text);
    if (!words || !prefixContains(network, words))
      refuse(`${name} ${text} is not inside ${formatPrefix(network)}`);
    if (!sameWords(maskWords(words, bits), words))
      refuse(`${name} ${text} is not aligned to /${subnetLength}`);
    return { words, bits };
  };
  const last = addToAddress(network.words, network.bits, 1);
  return {
    network,
    subnetLength,
    subnetMin: edge(minText, `${names[1]}Min`) ?? {
      words: addToAddress(network.words, bits, 1),
      bits,
    },
    subnetMax: edge(maxText, `${names[1]}Max`) ?? { words: addToAddress(last, bits, -1), bits },
  };
}

function checkLength(family: 4 | 6, network: Prefix, given: number, name: string): number {
  const rules = RULES[family];
  const length = prefixLength(network);
  if (given === 0) {
    if (length > rules.networkMax)
      refuse(`network ${formatPrefix(network)} is too small; at most /${rules.networkMax}`);
    return length <= rules.usualUpTo ? rules.usual : length + 2;
  }
  if (given > rules.lengthMax) refuse(`${name} ${given} is larger than ${rules.lengthMax}`);
  if (given < length + 2)
    refuse(`${name} ${given} must be at least ${length + 2} for ${formatPrefix(network)}`);
  return given;
}

export type TunnelConfig = VxlanBackend | UdpBackend;

/** Name of the device that carries a family, as flannel names it. */
export function deviceName(backend: TunnelConfig, family: 4 | 6): string {
  if (backend.type === 'udp') return 'flannel0';
  return family === 4 ? `flannel.${backend.vni}` : `flannel-v6.${backend.vni}`;
}
