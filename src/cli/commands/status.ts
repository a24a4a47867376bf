/** weft status: one screen about this node. */
import type { Command } from 'commander';
import * as z from 'zod';
import { historyShape, type Sample, sampleShape } from '../../api/history.ts';
import { fetchPage } from '../client.ts';
import { dropLines, renderVerdict, topDrops, warningLines, whyNotHealthy } from '../health-text.ts';
import { type Status, statusShape, subnetsOf, uptimeMsOf } from '../pages.ts';
import {
  renderAge,
  renderAmount,
  renderBits,
  renderBytes,
  renderMinutes,
  sparkline,
} from '../render.ts';
import { addShow, fetchShape, type OnExit, promiseShape } from '../show.ts';
import type { Style } from '../style.ts';

const SPARK_COLUMNS = 20;
const TOP_DROPS = 3;
const WIDTH = 100;
/** A label and the blanks behind it. */
const LABEL = 10;

/** What the text shows besides the page; --json is the page alone. */
const screenShape = statusShape.extend({ history: z.array(sampleShape).optional() });
export type Screen = z.infer<typeof screenShape>;

export function addStatus(program: Command, onExit: OnExit): void {
  const command = addShow(program, onExit, {
    name: 'status',
    description: 'this node at a glance: health, lease, traffic, drops, and what to do',
    shape: screenShape,
    answer: async ({ adminSocket, json }) => {
      const page = await fetchPage(adminSocket, '/status');
      if (json) return page;
      const history = await fetchShape(adminSocket, '/history', historyShape).catch(
        () => undefined,
      );
      return { ...page, history: history?.samples };
    },
    render: renderStatus,
    exitCode: ({ healthy }) => (healthy ? 0 : 1),
  });
  promiseShape(command, statusShape);
}

export function renderStatus(
  status: Screen,
  style: Style,
  nowMs: number,
  width = Math.max(40, process.stdout.columns ?? WIDTH),
): string {
  const warnings = status.health ?? [];
  const row = (label: string, text: string): string => `${style.dim(label.padEnd(LABEL))}${text}`;
  const sections = [
    [verdictLine(status, style, nowMs)],
    warningLines(warnings, style, nowMs, width),
    stateRows(status, style, nowMs).map(([label, text]) => row(label, text)),
    status.lease && status.node ? trafficRows(status, style).map(([l, text]) => row(l, text)) : [],
    dropSection(status, style, width),
  ];
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n');
}

function verdictLine(status: Status, style: Style, nowMs: number): string {
  const { healthy, health = [], version } = status;
  const up = `weft ${version}, up ${renderAge(uptimeMsOf(status, nowMs))}`;
  const why = healthy ? '' : whyNotHealthy(status);
  const noted =
    health.length === 0 ? '' : `, ${health.length} warning${health.length > 1 ? 's' : ''}`;
  return `${renderVerdict(status, style)}${why && `: ${why}`}${noted}   ${style.dim(up)}`;
}

type Row = readonly [label: string, text: string];

function stateRows(status: Status, style: Style, nowMs: number): Row[] {
  const { store, node, lease, firewall, table, devices = [] } = status;
  const ago = (time: string): string => `${renderAge(Math.max(0, nowMs - Date.parse(time)))} ago`;
  const rows: Row[] = [['store', storeText(store, style, nowMs)]];
  if (store.kubernetes) rows.push(['own Node', ownNodeText(store.kubernetes, style)]);
  if (store.rememberedAt) {
    const text = `from memory, ${renderMinutes(nowMs - Date.parse(store.rememberedAt))} old`;
    rows.push(['memory', style.warn(text)]);
  }
  if (!node || !lease) return rows;
  const addresses = [node.publicIp, node.publicIpv6].filter(Boolean).join(', ');
  const held = lease.state === 'held' ? style.good('held') : style.bad(lease.state.toUpperCase());
  const deviceText = devices.map(({ device, mtu }) => `${device} (MTU ${mtu})`).join(', ');
  rows.unshift(
    ['node', `${addresses} on ${node.interface}`],
    [
      'lease',
      `${subnetsOf(status)}  ${held}, ${store.kubernetes ? 'as long as the Node exists' : expiryOf(lease.expiresAt, nowMs)}`,
    ],
    ['backend', [status.backend, deviceText].filter(Boolean).join(', ')],
    ['peers', peersText(status, style)],
  );
  if (firewall && !firewall.ok)
    rows.push(['firewall', style.bad(`NOT IN PLACE: ${firewall.problem}`)]);
  else if (firewall?.kind) rows.push(['firewall', `rules in place, by ${firewall.kind}`]);
  if (table) rows.push(['table', `generation ${table.generation}, ${ago(table.publishedAt)}`]);
  return [...rows, ...engineRows(status, style)];
}

function storeText(store: Status['store'], style: Style, nowMs: number): string {
  const { name, ok, message, since, lastEventAt } = store;
  const ageOf = (time: string): string => renderAge(Math.max(0, nowMs - Date.parse(time)));
  const away = `UNAVAILABLE${since ? ` for ${ageOf(since)}` : ''}: ${message}`;
  const changed = lastEventAt === null ? '' : `, last change ${ageOf(lastEventAt)} ago`;
  return `${name}  ${ok ? style.good('ok') : style.bad(away)}${changed}`;
}

function ownNodeText(own: NonNullable<Status['store']['kubernetes']>, style: Style): string {
  const { nodeName, podCidrs, annotated, problem, forbidden } = own;
  const cidrs = podCidrs.length > 0 ? `podCIDR ${podCidrs.join(', ')}` : 'no podCIDR';
  const state = annotated ? style.good('annotated') : style.bad('NOT ANNOTATED');
  const not = forbidden.length > 0 ? style.bad(`; FORBIDDEN: ${forbidden.join(', ')}`) : '';
  const why = problem === '' ? '' : style.bad(`: ${problem}`);
  return `${nodeName ?? 'not known yet'}, ${cidrs}, ${state}${why}${not}`;
}

function expiryOf(expiresAt: string | null, nowMs: number): string {
  if (expiresAt === null) return 'permanent';
  const leftMs = Date.parse(expiresAt) - nowMs;
  return leftMs > 0 ? `${renderAge(leftMs)} left` : 'expired';
}

function peersText({ peers, reach }: Screen, style: Style): string {
  const isAllUp = reach?.reachable === peers.total;
  const up = reach ? `${reach.reachable}/${peers.total} up` : String(peers.total);
  const notes = [
    reach && reach.unreachable > 0 ? `, ${reach.unreachable} unreachable` : '',
    peers.held > 0 ? `, ${peers.held} kept although their leases disappeared` : '',
    peers.skipped ? `, ${peers.skipped} lease${peers.skipped > 1 ? 's' : ''} skipped` : '',
  ];
  const rtt = reach?.rttMs ? `, round trip ${spread(reach.rttMs)} ms` : '';
  return `${reach ? (isAllUp ? style.good(up) : style.warn(up)) : up}${rtt}${style.warn(notes.join(''))}`;
}

function spread({ least, most }: { least: number; most: number }): string {
  const texts = [least.toFixed(2), most.toFixed(2)];
  return texts[0] === texts[1] ? `${texts[0]}` : texts.join(' to ');
}

function engineRows(
  { workers = [], offloads = [], fastPath, counters }: Status,
  style: Style,
): Row[] {
  if (workers.length === 0) return [];
  const restarts = workers.reduce((sum, worker) => sum + worker.restarts, 0);
  const states = new Map<string, number>();
  for (const { state } of workers) states.set(state, (states.get(state) ?? 0) + 1);
  const text = [...states].map(([state, count]) =>
    state === 'running' ? `${count} running` : style.bad(`${count} ${state}`),
  );
  if (restarts > 0) text.push(style.warn(`${restarts} restart${restarts > 1 ? 's' : ''}`));
  return [
    ['workers', text.join(', ')],
    ['offloads', offloads.join(' ') || style.warn('off')],
    ...(fastPath ? [['fast path', fastPathText(fastPath, counters)] as const] : []),
  ];
}

/** Exported for the doctor and weft top. */
export function fastPathText(
  { on, why, peers, counters: carried }: NonNullable<Status['fastPath']>,
  counters: Status['counters'] = {},
): string {
  const share = (name: string): string => {
    const all = counters[name] ?? 0;
    return `${all === 0 ? 0 : Math.floor((100 * (carried[name] ?? 0)) / all)} %`;
  };
  const of = `${share('sentBytes')} of the bytes sent and ${share('deliveredBytes')} of those received took it`;
  return `${on ? `on, ${renderAmount(peers ?? 0, 'peer')}` : `off: ${why}`}; ${of}`;
}

function trafficRows({ rates, counters: c = {}, history = [] }: Screen, style: Style): Row[] {
  const row = (
    packets: number | undefined,
    bytes: number | undefined,
    curve: (sample: Sample) => number,
    total: string,
  ): string => {
    const spark =
      history.length > 0 ? `${style.good(sparkline(history.map(curve), SPARK_COLUMNS))}  ` : '';
    const rate =
      packets === undefined || bytes === undefined
        ? ''
        : `${`${renderAmount(packets, 'packet')}/s`.padStart(16)}  ${renderBits(bytes).padStart(12)}   `;
    return `${spark}${rate}${style.dim(total)}`;
  };
  const total = (packets = 0, bytes = 0): string => `${packets} packets, ${renderBytes(bytes)}`;
  return [
    [
      'sent',
      row(
        rates?.sentPacketsPerSecond,
        rates?.sentBytesPerSecond,
        (s) => s.sentBytes,
        total(c['sentPackets'], c['sentBytes']),
      ),
    ],
    [
      'received',
      row(
        rates?.receivedPacketsPerSecond,
        rates?.receivedBytesPerSecond,
        (s) => s.receivedBytes,
        total(c['deliveredPackets'], c['deliveredBytes']),
      ),
    ],
  ];
}

function dropSection(status: Screen, style: Style, width: number): string[] {
  const drops = topDrops(status.drops, TOP_DROPS);
  if (drops.length === 0) return [];
  const rate = status.rates?.droppedPacketsPerSecond ?? 0;
  const head = `${style.dim('dropped'.padEnd(LABEL))}${rate > 0 ? style.warn(`${renderAmount(rate, 'packet')}/s`) : 'none now'}, most since the start:`;
  return [head, ...dropLines(drops, style, width)];
}
