/** What weft keeps of a Node object, which may have 50 kB: its pods' subnets and our annotations. */
import { familyOf, type Prefix, parsePrefix } from '../../shared/address.ts';
import { STORE_VALUE_BYTES_MAX } from '../../shared/limits.ts';
import type { Lease, LeaseSubnets } from '../lease/lease.ts';
import {
  type AnnotationNames,
  type Annotations,
  decodeAnnotations,
  isManaged,
} from './annotations.ts';
import type { NodeObject } from './object.ts';

export interface NodeRecord {
  readonly name: string;
  /** another one for a Node that was deleted and made anew */
  readonly uid: string;
  /** as the object has them; untrusted text */
  readonly podCidrs: readonly string[];
  /** those of weft's names; untrusted text */
  readonly annotations: Annotations;
}

/** A Node has one for each family. */
const POD_CIDRS_MAX = 8;

export function nodePath(name: string): string {
  return `/api/v1/nodes/${encodeURIComponent(name)}`;
}

/** What we keep of an object; undefined of one without a name. */
export function recordOf(object: NodeObject, names: AnnotationNames): NodeRecord | undefined {
  const { name, uid, annotations } = object.metadata ?? {};
  if (typeof name !== 'string' || name === '') return undefined;
  return {
    name,
    uid: String(uid ?? ''),
    podCidrs: podCidrsOf(object),
    annotations: ourAnnotations(annotations, names),
  };
}

/** `podCIDR` alone is what API servers before dual stack have. */
function podCidrsOf({ spec }: NodeObject): string[] {
  const { podCIDR, podCIDRs } = spec ?? {};
  const all: unknown[] = Array.isArray(podCIDRs) && podCIDRs.length > 0 ? podCIDRs : [podCIDR];
  return all
    .filter((text) => typeof text === 'string' && text !== '')
    .map(String)
    .slice(0, POD_CIDRS_MAX);
}

function ourAnnotations(all: unknown, names: AnnotationNames): Annotations {
  const annotations = (typeof all === 'object' && all) || {};
  const kept: Record<string, string> = {};
  for (const name of Object.values(names)) {
    const text = (annotations as Record<string, unknown>)[name];
    if (typeof text === 'string' && text.length <= STORE_VALUE_BYTES_MAX) kept[name] = text;
  }
  return kept;
}

/** Whether nothing of it changed that matters to us: a kubelet writes its status all the time. */
export function sameRecord(a: NodeRecord, b: NodeRecord): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The first subnet of each family, as flannel's peers take them. */
export function subnetsOf({ podCidrs }: Pick<NodeRecord, 'podCidrs'>): LeaseSubnets {
  const prefixes = podCidrs.flatMap((text) => parsePrefix(text) ?? []);
  const first = (family: 4 | 6): Prefix | undefined =>
    prefixes.find(({ words }) => familyOf(words) === family);
  const subnet4 = first(4);
  const subnet6 = first(6);
  return { ...(subnet4 && { subnet4 }), ...(subnet6 && { subnet6 }) };
}

/** The lease that a Node is: undefined where neither flannel nor weft runs, 'unreadable' where it has no subnet. */
export function leaseOf(
  record: NodeRecord,
  names: AnnotationNames,
): Lease | 'unreadable' | undefined {
  if (!isManaged(record.annotations, names)) return undefined;
  const attributes = decodeAnnotations(record.annotations, names);
  const subnets = subnetsOf(record);
  if (!subnets.subnet4 && !subnets.subnet6) return 'unreadable';
  return { ...subnets, key: record.name, attributes, isPermanent: false, revision: record.uid };
}
