/**
 * What a node must know to forward, as text: the network config, its own lease, the other nodes' leases. Two lines: a head with the
 * version and a checksum, which tells a flipped bit or a file that was cut short, and the body.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { PEERS_MAX, STORE_VALUE_BYTES_MAX } from '../../shared/limits.ts';
import { getOrMake } from '../../shared/memo.ts';
import { slicesOf } from '../../shared/slices.ts';
import { formatKey, parseKey } from '../lease/key.ts';
import type { Lease } from '../lease/lease.ts';
import { decodeValue, encodeValue } from '../lease/value.ts';

export interface Memory {
  /** of which registry: MemoryPolicy.of */
  of: string;
  /** when the registry said all this, ms since the epoch by our clock */
  savedAtMs: number;
  /** text of the network config */
  config: string;
  own: Lease;
  others: readonly Lease[];
}

/** Raise it with every change after which an older weft would take the file for something else. */
const VERSION = 1;
const KEY_CHARACTERS_MAX = 256;
const OF_CHARACTERS_MAX = 4_096;

const headShape = z.object({ version: z.number(), sha256: z.string().optional() });
const time = z.number().int().nonnegative();
const leaseShape = z.object({
  key: z.string().max(KEY_CHARACTERS_MAX),
  /** as a lease key has them, whatever the key of this registry looks like */
  subnets: z.string().max(KEY_CHARACTERS_MAX),
  value: z.string().max(STORE_VALUE_BYTES_MAX),
  isPermanent: z.boolean(),
});
const bodyShape = z.object({
  of: z.string().max(OF_CHARACTERS_MAX),
  savedAtMs: time,
  config: z.string().max(STORE_VALUE_BYTES_MAX),
  own: leaseShape.extend({ expiresAtMs: time.optional() }),
  others: z.array(z.unknown()).max(PEERS_MAX),
});
type LeaseText = z.output<typeof leaseShape>;

/** A lease that did not change is written as before. */
const texts = new WeakMap<Lease, string>();

function textOf(lease: Lease): string {
  return getOrMake(texts, lease, () => JSON.stringify(leaseData(lease)));
}

/** UTF-8. Made in slices: 50,000 leases are 10 MB. */
export async function encodeMemory({
  of,
  savedAtMs,
  config,
  own,
  others,
}: Memory): Promise<Buffer> {
  const hash = createHash('sha256');
  const body: Buffer[] = [];
  const add = (text: string): void => {
    const bytes = Buffer.from(text);
    hash.update(bytes);
    body.push(bytes);
  };
  const { expiresAtMs } = own;
  const start = JSON.stringify({ of, savedAtMs, config, own: { ...leaseData(own), expiresAtMs } });
  add(`${start.slice(0, -1)},"others":[`);
  let separator = '';
  for await (const slice of slicesOf(others)) {
    add(separator + slice.map(textOf).join(',\n'));
    separator = ',\n';
  }
  add(']}\n');
  const head = JSON.stringify({ version: VERSION, sha256: hash.digest('hex') });
  return Buffer.concat([Buffer.from(`${head}\n`), ...body]);
}

/** The memory, or why the text is none. */
export function decodeMemory(text: string): Memory | string {
  const headEnd = text.indexOf('\n');
  const head = headShape.safeParse(parseJson(text.slice(0, headEnd)));
  if (!head.success) return 'it is damaged: its first line is not the head of a memory';
  const { version, sha256 } = head.data;
  if (version !== VERSION) return `its version is ${version}, and this weft reads ${VERSION}`;
  const body = text.slice(headEnd + 1);
  if (sha256 !== hashOf(body)) return 'it is damaged: its checksum does not fit';
  const parsed = bodyShape.safeParse(parseJson(body));
  if (!parsed.success) return `it is damaged: ${parsed.error.issues[0]?.path.join('.')} is wrong`;
  const { own, others, ...rest } = parsed.data;
  const ownLease = leaseOf(own);
  if (!ownLease) return 'it is damaged: it holds no lease of this node';
  if (own.expiresAtMs !== undefined) ownLease.expiresAtMs = own.expiresAtMs;
  return { ...rest, own: ownLease, others: others.flatMap((other) => otherIn(other) ?? []) };
}

/** The checksum was right: one that can't be read is odd, as other nodes' leases may be, and costs only itself. */
function otherIn(other: unknown): Lease | undefined {
  const parsed = leaseShape.safeParse(other);
  return parsed.success ? leaseOf(parsed.data) : undefined;
}

function leaseData(lease: Lease): LeaseText {
  const { key, attributes, isPermanent } = lease;
  return { key, subnets: formatKey(lease), value: encodeValue(attributes), isPermanent };
}

/** Without a revision: nothing is compared with it before the registry has answered. */
function leaseOf({ key, subnets, value, isPermanent }: LeaseText): Lease | undefined {
  const prefixes = parseKey(subnets);
  const attributes = decodeValue(value);
  return prefixes && attributes && { ...prefixes, key, attributes, isPermanent, revision: '' };
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
