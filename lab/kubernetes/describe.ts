/** What a cluster says of itself when something does not come about in it: for the message of the failure. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../src/shared/errors.ts';
import type { KubernetesAdmin } from './admin.ts';
import type { ClusterPod } from './cluster-pod.ts';

const EVENTS_MAX = 12;
const LOG_LINES_MAX = 6;
const LINE_CHARS_MAX = 240;

interface ClusterEvent {
  involvedObject: { name?: string };
  reason?: string;
  message?: string;
  lastTimestamp?: string;
  count?: number;
}

interface ClusterNode {
  metadata: { name: string };
  spec?: { taints?: { key: string }[] };
  status?: { conditions?: { type: string; status: string }[] };
}

/** Nodes, pods, the last events and the last warnings of the logs below `folder`, a line each. Never throws. */
export async function describeCluster(admin: KubernetesAdmin, folder: string): Promise<string> {
  const parts = [
    () => list<ClusterNode>(admin, 'nodes').then((nodes) => nodes.map(lineOfNode)),
    () => list<ClusterPod>(admin, 'pods').then((pods) => pods.map(lineOfPod)),
    () => list<ClusterEvent>(admin, 'events').then(lastEvents),
    () => lastWarnings(folder),
  ];
  const lines: string[] = [];
  for (const part of parts)
    try {
      lines.push(...(await part()));
    } catch (error) {
      lines.push(messageOf(error));
    }
  return lines.map((line) => line.replaceAll('\n', ' ').slice(0, LINE_CHARS_MAX)).join('\n');
}

async function list<T>(admin: KubernetesAdmin, kind: string): Promise<T[]> {
  return (await admin.call<{ items: T[] }>('GET', `/api/v1/${kind}`)).items;
}

function lineOfNode({ metadata, spec, status }: ClusterNode): string {
  const conditions = status?.conditions?.map((each) => `${each.type}=${each.status}`) ?? [];
  const taints = spec?.taints?.map(({ key }) => key) ?? [];
  return `node ${metadata.name}: ${conditions.join(' ')}; taints: ${taints.join(' ') || 'none'}`;
}

function lineOfPod({ metadata, spec, status }: ClusterPod): string {
  const containers = [
    ...(status.initContainerStatuses ?? []),
    ...(status.containerStatuses ?? []),
  ].map(({ state }) => JSON.stringify(state));
  const end = metadata.deletionTimestamp ? `, ends since ${metadata.deletionTimestamp}` : '';
  const place = `${metadata.namespace}/${metadata.name} on ${spec.nodeName ?? 'no node'}`;
  return `pod ${place}: ${status.phase}${end} ${containers.join(' ')}`;
}

function lastEvents(events: readonly ClusterEvent[]): string[] {
  return [...events]
    .sort((a, b) => (a.lastTimestamp ?? '').localeCompare(b.lastTimestamp ?? ''))
    .slice(-EVENTS_MAX)
    .map(
      ({ involvedObject, reason, message, lastTimestamp, count }) =>
        `event ${lastTimestamp} ${involvedObject.name} ${reason} (${count}): ${message}`,
    );
}

/** Of every log: klog begins such lines with E, F or W, containerd names the level. */
function lastWarnings(folder: string): string[] {
  const logs = readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (!entry.isDirectory()) return entry.name.endsWith('.log') ? [entry.name] : [];
    return readdirSync(join(folder, entry.name))
      .filter((name) => name.endsWith('.log'))
      .map((name) => join(entry.name, name));
  });
  return logs.flatMap((name) =>
    readFileSync(join(folder, name), 'utf8')
      .split('\n')
      .filter((line) => /^[EFW]\d{4} |level=(error|warning|fatal)/.test(line))
      .slice(-LOG_LINES_MAX)
      .map((line) => `${name}: ${line}`),
  );
}
