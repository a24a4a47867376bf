/** The cluster's network config (flannel pkg/subnet Config): the JSON under `<prefix>/config`. */
import * as z from 'zod';
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
import { printable, SAID_CHARACTERS_MAX } from '../shared/printable.ts';
import { lowerKeys } from './go-json.ts';
import {
  KINDS,
  type Kinds,
  type KnownConfig,
  kindNamed,
  kindOf,
  NOT_YET,
  USUAL_KIND,
} from './kinds/all.ts';
import type { BackendConfig } from './kinds/kind.ts';
import { addToAddress } from './lease/arithmetic.ts';
import { refuse } from './refuse.ts';

export interface FamilyConfig {
  network: Prefix;
  /** as people write it: 24 for a /24, 64 for an IPv6 /64 */
  subnetLength: number;
  /** first and last subnet to hand out, as prefixes of subnetLength */
  subnetMin: Prefix;
  subnetMax: Prefix;
}

/** Plain data. What is known of the backend besides its options, its kind knows: kinds/all.ts. */
export interface NetworkConfig<C extends BackendConfig = KnownConfig> {
  /** rules by nft instead of iptables */
  nftables: boolean;
  ipv4?: FamilyConfig;
  ipv6?: FamilyConfig;
  backend: C;
}

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
type Raw = z.output<typeof shape>;

/** Type, and the options of all kinds. */
function backendShape(kinds: Kinds) {
  const options = kinds.flatMap((kind) => Object.entries(kind.options));
  const shapes = options.map(([key, values]) => [key.toLowerCase(), values] as const);
  return z.object({ type: z.string().default(''), ...Object.fromEntries(shapes) });
}

/** Families' rules of flannel's CheckNetworkConfig: largest subnet length, largest network length, derived default. */
const RULES = {
  4: { lengthMax: 30, networkMax: 28, usual: 24, usualUpTo: 22 },
  6: { lengthMax: 126, networkMax: 124, usual: 64, usualUpTo: 62 },
} as const;

const TOP_KEYS =
  'EnableIPv4 EnableIPv6 EnableNFTables Network IPv6Network SubnetLen SubnetMin SubnetMax IPv6SubnetLen IPv6SubnetMin IPv6SubnetMax Backend';

/** Keys that are read, as flannel spells them; any case is taken. */
export function networkConfigKeys(kinds: Kinds = KINDS): { top: string[]; backend: string[] } {
  const options = kinds.flatMap((kind) => Object.keys(kind.options));
  return { top: TOP_KEYS.split(' '), backend: ['Type', ...new Set(options)] };
}

/** Parses and validates the config text. Throws WeftError ERR_CONFIG that says what to change, ERR_BACKEND where no kind has this type. */
export function parseNetworkConfig(text: string): NetworkConfig;
export function parseNetworkConfig(text: string, kinds: Kinds): NetworkConfig<BackendConfig>;
export function parseNetworkConfig(text: string, kinds = KINDS): NetworkConfig<BackendConfig> {
  if (text.length > STORE_VALUE_BYTES_MAX) refuse(`larger than ${STORE_VALUE_BYTES_MAX} bytes`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    refuse(`not valid JSON (${printable(messageOf(error), SAID_CHARACTERS_MAX)})`);
  }
  const raw = checkShape(shape, json);
  if (!raw.enableipv4 && !raw.enableipv6) refuse('EnableIPv4 and EnableIPv6 are both false');
  const config: NetworkConfig<BackendConfig> = {
    backend: parseBackend(raw.backend, kinds),
    nftables: raw.enablenftables,
  };
  if (raw.enableipv4) config.ipv4 = parseRange4(raw);
  if (raw.enableipv6) config.ipv6 = parseRange6(raw);
  const { type, families } = kindOf(config.backend, kinds);
  if (config.ipv6 && !families.includes(6))
    refuse(`the ${type} backend carries IPv4 only; use vxlan or EnableIPv6=false`);
  return config;
}

/** Everything that {@link parseNetworkConfig} would refuse, part by part; empty when the config can be used. */
export function networkConfigProblems(text: string, kinds: Kinds = KINDS): string[] {
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
    const { backend } = json as Record<string, unknown>;
    const top = shape.safeParse(json);
    const under = backendShape(kinds).safeParse(lowerKeys(backend ?? {}));
    for (const { path, message } of top.error?.issues ?? [])
      problems.push(`${path.join('.')}: ${message}`);
    for (const { path, message } of under.error?.issues ?? [])
      problems.push(`Backend.${path.join('.')}: ${message}`.replace(/\.:/, ':'));
    if (under.success) attempt(() => parseBackend(backend, kinds));
    if (top.data?.enableipv4) attempt(() => parseRange4(top.data));
    if (top.data?.enableipv6) attempt(() => parseRange6(top.data));
  }
  if (problems.length === 0) attempt(() => parseNetworkConfig(text, kinds));
  return problems;
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function checkShape<T>(schema: z.ZodType<T>, json: unknown): T {
  const result = schema.safeParse(lowerKeys(json));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  return refuse(`${issue?.path.join('.') || 'value'}: ${issue?.message}`);
}

function parseBackend(json: unknown, kinds: Kinds): BackendConfig {
  const written = json === undefined ? { type: USUAL_KIND.type } : (json ?? {});
  const { type, ...values } = checkShape(backendShape(kinds), written);
  const kind = kindNamed(type.toLowerCase(), kinds);
  return kind ? kind.parse(values) : refuseType(type, kinds);
}

/** Unlike other faults of the config this one ends the daemon, as in flannel (exit 1). */
function refuseType(written: string, kinds: Kinds): never {
  const why = NOT_YET.includes(written.toLowerCase()) ? 'is not supported yet' : 'is unknown';
  const types = kinds
    .map((kind) => kind.type)
    .join(', ')
    .replace(/, ([^,]*)$/, ' or $1');
  const message = `network config: Backend.Type "${printable(written)}" ${why}; use ${types}`;
  throw new WeftError('ERR_BACKEND', EXIT.failure, message);
}

function parseRange4({ network, subnetlen, subnetmin, subnetmax }: Raw): FamilyConfig {
  return parseFamily(4, network, subnetlen, subnetmin, subnetmax);
}

function parseRange6(raw: Raw): FamilyConfig {
  const { ipv6network, ipv6subnetlen, ipv6subnetmin, ipv6subnetmax } = raw;
  return parseFamily(6, ipv6network, ipv6subnetlen, ipv6subnetmin, ipv6subnetmax);
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
      `${names[0]} "${printable(networkText ?? '')}" is not an IPv${family} network such as ${family === 4 ? '10.244.0.0/16' : 'fd00:244::/48'}`,
    );
  }
  const subnetLength = checkLength(family, network, givenLength, `${names[1]}Len`);
  const bits = family === 4 ? 96 + subnetLength : subnetLength;
  const edge = (text: string | null | undefined, name: string): Prefix | undefined => {
    if (!text || text === '0.0.0.0' || text === '::') return undefined;
    const words = parseAddress(text);
    if (!words || !prefixContains(network, words))
      refuse(`${name} ${printable(text)} is not inside ${formatPrefix(network)}`);
    if (!sameWords(maskWords(words, bits), words))
      refuse(`${name} ${printable(text)} is not aligned to /${subnetLength}`);
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
