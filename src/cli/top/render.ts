/** A frame of `weft top` as text: a pure function of what is known, the size of the screen and the style. */

import type { Sample } from '../../api/history.ts';
import { DROP_REASONS, type DropName } from '../../memory/drops.ts';
import { fastPathText } from '../commands/status.ts';
import { renderVerdict } from '../health-text.ts';
import { type Status, subnetsOf, uptimeMsOf } from '../pages.ts';
import {
  clipLine,
  renderAge,
  renderAmount,
  renderBits,
  renderCount,
  renderTable,
  widthOf,
} from '../render.ts';
import type { Style } from '../style.ts';
import { areaGraph, meter, roundUp } from './graph.ts';
import type { View } from './model.ts';

export interface Size {
  columns: number;
  rows: number;
}

const GRAPH_ROWS_MAX = 8;
const METER_COLUMNS = 20;
const DROPS_MAX = 4;
const WARNINGS_MAX = 3;

/** Exactly `rows` lines, none wider than `columns`. */
export function renderTop(view: View, size: Size, style: Style): string {
  const head = [headLine(view, size, style), ...warningLines(view.status, style), ''];
  const tail = [
    ...(size.rows >= 30 ? [''] : []),
    workerLine(view, style),
    ...fastPathLine(view, style),
    ...dropLines(view, style),
  ];
  const foot = footLine(view, style);
  // Graphs take what peers need not, peers what is left.
  const free = size.rows - head.length - tail.length - 1;
  const peersWanted = Math.min(view.peers.length, 4) + 2;
  const graphRows = Math.min(GRAPH_ROWS_MAX, Math.max(1, Math.floor((free - peersWanted - 3) / 2)));
  const graphs = free < 5 ? [] : graphLines(view, size, graphRows, style);
  const peers = peerLines(view, free - graphs.length, style);
  const body = [...head, ...graphs, ...peers, ...tail].slice(0, size.rows - 1);
  while (body.length < size.rows - 1) body.push('');
  return [...body, foot].map((line) => clipLine(line, size.columns)).join('\n');
}

function headLine(
  { status, atMs, isPaused, scrolled }: View,
  { columns }: Size,
  style: Style,
): string {
  const { node, backend, devices = [], store } = status;
  const [subnet] = subnetsOf(status).split(', ');
  const parts = [
    `${style.bold('weft top')}  ${renderVerdict(status, style)}`,
    ...(node ? [`${node.publicIp ?? node.publicIpv6} on ${node.interface}`] : []),
    ...(subnet ? [subnet] : []),
    ...(backend ? [`${backend} ${devices[0]?.device ?? ''}`.trim()] : []),
    `store ${store.ok ? style.good('ok') : style.bad('UNAVAILABLE')}`,
    ...(store.rememberedAt ? [style.warn('from memory')] : []),
    `up ${renderAge(uptimeMsOf(status, atMs))}`,
  ];
  const state = isPaused
    ? style.warn(`PAUSED${scrolled > 0 ? ` -${scrolled}s` : ''}`)
    : style.good('LIVE');
  const left = clipLine(parts.join(style.dim('  │  ')), columns - widthOf(state) - 1);
  return `${left}${' '.repeat(Math.max(1, columns - widthOf(left) - widthOf(state)))}${state}`;
}

function warningLines({ health = [] }: Status, style: Style): string[] {
  return health.slice(0, WARNINGS_MAX).map(({ severity, title, text }) => {
    const line = `${severity === 'critical' ? '✗' : '!'} ${title}: ${text}`;
    return severity === 'critical' ? style.bad(line) : style.warn(line);
  });
}

function graphLines(view: View, { columns }: Size, rows: number, style: Style): string[] {
  const { samples } = view;
  const newest = samples.at(-1);
  const shown = samples.slice(-columns);
  const curve = (
    title: string,
    rate: (sample: Sample) => number,
    packets: (sample: Sample) => number,
    paint: (text: string) => string,
  ): string[] => {
    const values = shown.map(rate);
    // A round number of bits, because that is what is printed.
    const top = roundUp(Math.max(0, ...values) * 8) / 8;
    const now = newest
      ? [`${renderBits(rate(newest))}`, `${renderAmount(packets(newest), 'packet')}/s`]
      : ['-', '-'];
    const label = `${style.bold(title.padEnd(9))}${paint((now[0] as string).padStart(12))}  ${(now[1] as string).padStart(17)}`;
    return [
      `${label}   ${style.dim(`top ${renderBits(top)}`)}`,
      ...areaGraph(values, columns, rows, top).map(paint),
    ];
  };
  const dropped = shown.map(({ droppedPackets }) => droppedPackets);
  const paintDrops = newest && newest.droppedPackets > 0 ? style.bad : style.dim;
  const drops = [
    `${style.bold('dropped  ')}${paintDrops(`${renderAmount(newest?.droppedPackets ?? 0, 'packet')}/s`.padStart(31))}`,
    paintDrops(areaGraph(dropped, columns, 1, roundUp(Math.max(0, ...dropped)))[0] as string),
  ];
  return [
    ...curve(
      'sent',
      (s) => s.sentBytes,
      (s) => s.sentPackets,
      style.good,
    ),
    ...curve(
      'received',
      (s) => s.receivedBytes,
      (s) => s.receivedPackets,
      style.info,
    ),
    ...drops,
  ];
}

function peerLines({ peers, sort }: View, lines: number, style: Style): string[] {
  if (lines < 3) return [];
  if (peers.length === 0) return ['', style.dim('no peers')];
  const fit = lines - 2;
  const amount = (value: number | null): string => (value === null ? '-' : renderBits(value));
  const title = (text: string, name: string): string => (sort === name ? `${text}▾` : text);
  const rows = peers
    .slice(0, peers.length > fit ? fit - 1 : fit)
    .map((peer) => [
      peer.subnet,
      peer.nodeName ?? peer.publicIp,
      amount(peer.sent).padStart(13),
      amount(peer.received).padStart(13),
      (peer.rttMs === null ? '-' : `${peer.rttMs.toFixed(2)} ms`).padStart(10),
      peer.lossRatio === null ? '-' : `${Math.round(peer.lossRatio * 100)} %`,
    ]);
  const head = [
    title('PEER', 'subnet'),
    'NODE',
    title('SENT', 'rate').padStart(13),
    'RECEIVED'.padStart(13),
    title('RTT', 'rtt').padStart(10),
    'LOSS',
  ];
  const [first = '', ...rest] = renderTable(head, rows).split('\n');
  const hidden = peers.length - rows.length;
  return ['', style.dim(first), ...rest, ...(hidden > 0 ? [style.dim(`and ${hidden} more`)] : [])];
}

function workerLine({ workers }: View, style: Style): string {
  if (workers.length === 0) return '';
  const texts = workers.map(({ state, restarts, busy }, i) => {
    const again = restarts > 0 ? style.warn(` ${restarts} restarts`) : '';
    if (state !== 'running') return `${i} ${style.bad(state)}${again}`;
    if (busy === null) return `${i} ${style.dim('busy -')}${again}`;
    const { full, rest } = meter(busy, workers.length > 2 ? METER_COLUMNS / 2 : METER_COLUMNS);
    const paint = busy > 0.9 ? style.warn : style.good;
    return `${i} ${paint(full)}${style.dim(rest)} ${`${Math.round(busy * 100)} %`.padStart(5)}${again}`;
  });
  return `${style.bold('workers  ')}${texts.join('   ')}`;
}

/** Where it is not on, nothing is new about that: weft status says why. */
function fastPathLine({ status: { fastPath, counters } }: View, style: Style): string[] {
  return fastPath?.on ? [`${style.bold('fast path')} ${fastPathText(fastPath, counters)}`] : [];
}

function dropLines({ drops }: View, style: Style): string[] {
  return drops.slice(0, DROPS_MAX).map(({ name, perSecond, total }, i) => {
    const label = i === 0 ? style.bold('drops    ') : '         ';
    const rate = `${renderCount(perSecond)}/s`.padStart(9);
    const text = DROP_REASONS[name as DropName]?.text ?? '';
    const paint = perSecond > 0 ? style.bad : style.dim;
    return `${label}${paint(rate)}  ${`${renderCount(total)} in all`.padStart(13)}  ${name} ${style.dim(text)}`;
  });
}

function footLine({ isPaused }: View, style: Style): string {
  const keys: [key: string, what: string][] = [
    ['space', isPaused ? 'go on' : 'pause'],
    ...(isPaused ? ([['← →', 'scroll']] as [string, string][]) : []),
    ['s', 'sort'],
    ['q', 'quit'],
  ];
  return keys.map(([key, what]) => `${style.bold(key)} ${style.dim(what)}`).join('   ');
}
