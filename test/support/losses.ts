/** Who lost packets in a lab: weft by its reasons, else the kernel: devices and their queues, UDP sockets, backlogs of processors. */
import { readFileSync } from 'node:fs';
import type { Lab } from '../../lab/lab.ts';
import type { Namespace } from '../../lab/namespace.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { statusOf } from './node-status.ts';
import { snmpCounters } from './snmp.ts';

/** Packets by place, such as `n1 eth0 tx dropped`. Some places count what another one has counted. */
export type Losses = ReadonlyMap<string, number>;

export async function lossesOf(lab: Lab): Promise<Losses> {
  const spaces = [...lab.nodes, ...lab.pods].map(({ namespace }) => namespace);
  const losses = await Promise.all([...lab.weftNodes.map(ofWeft), ...spaces.map(ofKernel)]);
  return new Map([...losses.flat(), ...ofBacklogs()]);
}

/** What grew, as a text. */
export function growth(before: Losses, after: Losses): string {
  const grown = [...after]
    .map(([place, count]) => [place, count - (before.get(place) ?? 0)] as const)
    .filter(([, count]) => count > 0);
  return grown.map(([place, count]) => `${place} ${count}`).join(', ') || 'nothing';
}

type Loss = [place: string, count: number];

async function ofWeft(node: WeftNode): Promise<Loss[]> {
  const { drops } = await statusOf(node);
  return Object.entries(drops ?? {}).flatMap(([way, reasons]) =>
    Object.entries(reasons).map(([name, count]): Loss => [`${node.name} ${way} ${name}`, count]),
  );
}

async function ofKernel(space: Namespace): Promise<Loss[]> {
  const [links, queues, counters] = await Promise.all([
    space.ip('-j', '-s', 'link'),
    space.exec('tc', ['-j', '-s', 'qdisc']),
    snmpCounters(space, 'Udp'),
  ]);
  return [
    ...(JSON.parse(links.stdout) as Link[]).flatMap(ofLink),
    ...(JSON.parse(queues.stdout) as Queue[]).map(ofQueue),
    ...[...counters]
      .filter(([name]) => name.endsWith('Errors'))
      .map(([name, count]): Loss => [`UDP ${name}`, count]),
  ].map(([place, count]): Loss => [`${space.name} ${place}`, count]);
}

/** Of `ip -j -s link`. */
interface Link {
  ifname: string;
  stats64: Record<'rx' | 'tx', { dropped: number; errors: number }>;
}

function ofLink({ ifname, stats64: { rx, tx } }: Link): Loss[] {
  return [
    [`${ifname} rx dropped`, rx.dropped],
    [`${ifname} rx errors`, rx.errors],
    [`${ifname} tx dropped`, tx.dropped],
    [`${ifname} tx errors`, tx.errors],
  ];
}

/** Of `tc -j -s qdisc`. */
interface Queue {
  dev: string;
  kind: string;
  handle: string;
  drops: number;
}

const ofQueue = ({ dev, kind, handle, drops }: Queue): Loss => [`${dev} ${kind} ${handle}`, drops];

/** The second column of /proc/net/softnet_stat, of the whole machine. */
function ofBacklogs(): Loss[] {
  const lines = readFileSync('/proc/net/softnet_stat', 'utf8').trim().split('\n');
  return lines.map((line, i) => [
    `backlog of processor ${i}`,
    Number.parseInt(line.split(' ')[1] ?? '', 16),
  ]);
}
