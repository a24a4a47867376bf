/**
 * What a node says of itself on its Node object, to the byte as flannel writes and reads it (pkg/subnet/kube annotations.go, kube.go):
 * seven annotations behind a prefix that the administrator may choose.
 */
import { familyOf, formatAddress, parseAddress, type Words } from '../../shared/address.ts';
import { EXIT, WeftError } from '../../shared/errors.ts';
import { STORE_VALUE_BYTES_MAX } from '../../shared/limits.ts';
import { printable } from '../../shared/printable.ts';
import { goJson } from '../go-json.ts';
import type { LeaseAttributes } from '../lease/lease.ts';

/** Of a Node, by full name. */
export type Annotations = Readonly<Record<string, string>>;

const FIELDS = {
  /** "true": a node that flannel or weft runs on */
  managed: 'kube-subnet-manager',
  type: 'backend-type',
  data4: 'backend-data',
  data6: 'backend-v6-data',
  publicIp4: 'public-ip',
  publicIp6: 'public-ipv6',
  /** written by people: published in the place of the address that was found */
  overwrite4: 'public-ip-overwrite',
  overwrite6: 'public-ipv6-overwrite',
  /** written by people: like --public-ip */
  chosen4: 'node-public-ip',
  chosen6: 'node-public-ipv6',
} as const;

/** Full names of the annotations. */
export type AnnotationNames = Readonly<Record<keyof typeof FIELDS, string>>;

/** fqdn/ or fqdn/name-, of lower-case letters, digits, "_" and "-", with at least one dot in front of the slash. */
const PREFIX = /^(?:[a-z0-9_-]+\.)+[a-z0-9_-]+\/(?:[a-z0-9_-]+-)?$/;

/** Names behind a --kube-annotation-prefix; a bare domain gets a slash, a name behind a slash a dash. Throws ERR_USAGE. */
export function annotationNames(prefix: string): AnnotationNames {
  const whole = prefix.includes('/') ? prefix : `${prefix}/`;
  const stem = /[/-]$/.test(whole) ? whole : `${whole}-`;
  if (!PREFIX.test(stem)) {
    const shown = printable(prefix);
    const message = `--kube-annotation-prefix ${shown}: must be a domain, perhaps with a name behind a slash, in lower case: example.org, example.org/net`;
    throw new WeftError('ERR_USAGE', EXIT.usage, message, undefined, ['kube-annotation-prefix']);
  }
  const entries = Object.entries(FIELDS).map(([field, suffix]) => [field, stem + suffix]);
  return Object.fromEntries(entries) as AnnotationNames;
}

/** What this node writes of itself. IPv6 is not for kinds that publish no type (udp, alloc), as in flannel. */
export function encodeAnnotations(
  attributes: LeaseAttributes,
  names: AnnotationNames,
): Record<string, string> {
  const { backendType, backendData, backendV6Data, publicIp4, publicIp6 } = attributes;
  const written: Record<string, string> = { [names.managed]: 'true', [names.type]: backendType };
  if (publicIp4) {
    written[names.data4] = goJson(backendData ?? null);
    written[names.publicIp4] = formatAddress(publicIp4);
  }
  if (publicIp6 && backendType !== '') {
    written[names.data6] = goJson(backendV6Data ?? null);
    written[names.publicIp6] = formatAddress(publicIp6);
  }
  return written;
}

/** Whether flannel or weft runs on the node. */
export function isManaged(annotations: Annotations, names: AnnotationNames): boolean {
  return annotations[names.managed] === 'true';
}

/** What a node wrote. What can't be read in it is absent. */
export function decodeAnnotations(
  annotations: Annotations,
  names: AnnotationNames,
): LeaseAttributes {
  const attributes: LeaseAttributes = { backendType: annotations[names.type] ?? '' };
  const publicIp4 = addressIn(annotations[names.publicIp4], 4);
  if (publicIp4) attributes.publicIp4 = publicIp4;
  const publicIp6 = addressIn(annotations[names.publicIp6], 6);
  if (publicIp6) attributes.publicIp6 = publicIp6;
  const data4 = jsonIn(annotations[names.data4]);
  if (data4 !== null) attributes.backendData = data4;
  const data6 = jsonIn(annotations[names.data6]);
  if (data6 !== null) attributes.backendV6Data = data6;
  return attributes;
}

/** An address that people wrote; undefined where there is none. Throws ERR_CONFIG for anything that is not one of this family. */
export function readAddress(
  annotations: Annotations,
  name: string,
  family: 4 | 6,
): Words | undefined {
  const text = annotations[name];
  if (text === undefined || text === '') return undefined;
  const words = addressIn(text, family);
  if (words) return words;
  const message = `annotation ${name} of this node: "${printable(text)}" is not an IPv${family} address; correct or remove it`;
  throw new WeftError('ERR_CONFIG', EXIT.config, message);
}

/** The addresses that people chose for this node, in the place of --public-ip and --public-ipv6. Throws ERR_CONFIG. */
export function chosenAddresses(
  annotations: Annotations,
  names: AnnotationNames,
): Record<'publicIp4' | 'publicIp6', Words | undefined> {
  return {
    publicIp4: readAddress(annotations, names.chosen4, 4),
    publicIp6: readAddress(annotations, names.chosen6, 6),
  };
}

/** The annotation by which people chose another address than before; undefined where none did. */
export function otherChoice(
  before: Annotations,
  now: Annotations,
  names: AnnotationNames,
): string | undefined {
  return [names.chosen4, names.chosen6].find((name) => (before[name] ?? '') !== (now[name] ?? ''));
}

function addressIn(text: string | undefined, family: 4 | 6): Words | undefined {
  const words = text === undefined ? undefined : parseAddress(text);
  return words && familyOf(words) === family ? words : undefined;
}

/** null for none, and for what is not JSON. */
function jsonIn(text: string | undefined): unknown {
  if (text === undefined || text.length > STORE_VALUE_BYTES_MAX) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
