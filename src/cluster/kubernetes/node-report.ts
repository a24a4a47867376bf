/**
 * What a bug report holds of a Node object. Only what is listed here is taken, so that nothing secret comes along, whatever
 * administrators and other programs wrote on the object.
 */
import { printable, SAID_CHARACTERS_MAX } from '../../shared/printable.ts';
import type { AnnotationNames } from './annotations.ts';

const LIST_MAX = 50;
const DEPTH_MAX = 4;

const METADATA = ['name', 'uid', 'resourceVersion', 'creationTimestamp', 'deletionTimestamp'];
const SPEC = ['podCIDR', 'podCIDRs', 'unschedulable', 'taints'];
const STATUS = ['conditions', 'addresses', 'nodeInfo'];

type Data = Readonly<Record<string, unknown>>;

/** Plain data, its texts printable and bounded. */
export function reportOf(object: object, names: AnnotationNames): Data {
  const { metadata, spec, status } = object as Data;
  const { annotations } = dataIn(metadata);
  return {
    metadata: {
      ...some(metadata, METADATA),
      annotations: some(annotations, Object.values(names)),
    },
    spec: some(spec, SPEC),
    status: some(status, STATUS),
  };
}

function dataIn(value: unknown): Data {
  return typeof value === 'object' && value !== null ? (value as Data) : {};
}

function some(value: unknown, keys: readonly string[]): Data {
  const found = dataIn(value);
  const present = keys.filter((key) => Object.hasOwn(found, key));
  return Object.fromEntries(present.map((key) => [key, bounded(found[key], DEPTH_MAX)]));
}

function bounded(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return printable(value, SAID_CHARACTERS_MAX);
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) return '…';
  if (Array.isArray(value)) return value.slice(0, LIST_MAX).map((each) => bounded(each, depth - 1));
  const entries = Object.entries(value).slice(0, LIST_MAX);
  return Object.fromEntries(
    entries.map(([key, each]) => [printable(key), bounded(each, depth - 1)]),
  );
}
