/** What `weft bench` found, for people and for programs. */
import { SCHEMA_VERSION } from '../../api/version.ts';
import { renderTable } from '../render.ts';
import type { Path } from './far-end.ts';
import type { FoundPeer } from './find-peer.ts';
import { type Measured, median, type Pair } from './measures.ts';
import type { PathResult } from './path-mtu.ts';
import type { Verdict } from './verdict.ts';

export interface BenchResult {
  peer: FoundPeer;
  seconds: number;
  podMtu: number;
  measured: Measured;
  verdict: Verdict;
}

export function renderBench({ peer, measured, verdict }: BenchResult): string {
  const { tcpTo, tcpFrom, udpP50, udpP99, udpLost, payload } = measured;
  const { underlay, overlay } = payload;
  const rows = [
    row('TCP to the peer', tcpTo, renderRate),
    row('TCP from the peer', tcpFrom, renderRate),
    row('UDP round trip, p50', udpP50, renderTime),
    row('UDP round trip, p99', udpP99, renderTime),
    row('UDP datagrams lost', udpLost, String),
    payloadRow('largest UDP payload to the peer', underlay.to, overlay.to),
    payloadRow('largest UDP payload from the peer', underlay.from, overlay.from),
  ];
  return [
    `${peer.key}: underlay ${peer.underlay}, overlay ${peer.overlay}`,
    '',
    renderTable(['', 'UNDERLAY', 'OVERLAY', 'OVERLAY/UNDERLAY'], rows),
    '',
    verdict.text,
  ].join('\n');
}

/** One object; numbers keep their rounds, so that others can judge the spread. */
export function benchJson({ peer, seconds, podMtu, measured, verdict }: BenchResult): object {
  const { tcpTo, tcpFrom, udpP50, udpP99, udpLost, payload } = measured;
  return {
    schemaVersion: SCHEMA_VERSION,
    peer,
    secondsPerRun: seconds,
    tcpToMbitPerS: pairJson(tcpTo),
    tcpFromMbitPerS: pairJson(tcpFrom),
    udpRoundTripP50Us: pairJson(udpP50),
    udpRoundTripP99Us: pairJson(udpP99),
    udpLost: pairJson(udpLost),
    largestUdpPayload: payload,
    mtu: { pods: podMtu, ...verdict },
  };
}

function pairJson(pair: Pair): object {
  const side = (path: Path): object => ({ median: median(pair[path]), rounds: pair[path] });
  return { underlay: side('underlay'), overlay: side('overlay'), ratio: ratioOf(pair) };
}

/** null where there is nothing to divide by. */
function ratioOf(pair: Pair): number | null {
  const beside = median(pair.underlay);
  return beside > 0 ? median(pair.overlay) / beside : null;
}

function row(title: string, pair: Pair, render: (value: number) => string): string[] {
  const ratio = ratioOf(pair);
  const values = [pair.underlay, pair.overlay].map((rounds) => render(median(rounds)));
  return [title, ...values, ratio === null ? '-' : ratio.toFixed(2)];
}

function payloadRow(title: string, underlay: PathResult, overlay: PathResult): string[] {
  const cell = (result: PathResult): string =>
    'why' in result ? 'not measured' : `${result.payloadBytes} B`;
  return [title, cell(underlay), cell(overlay), ''];
}

function renderRate(mbitPerS: number): string {
  return mbitPerS >= 1000
    ? `${(mbitPerS / 1000).toFixed(2)} Gbit/s`
    : `${mbitPerS.toFixed(1)} Mbit/s`;
}

function renderTime(us: number): string {
  return us >= 1000 ? `${(us / 1000).toFixed(2)} ms` : `${us.toFixed(0)} µs`;
}
