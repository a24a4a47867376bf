/** weft ping PEER: echoes one after the other, their lines and their summary. */
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { type Echo, echoShape, type PingPage, pingedShape } from '../../api/ping.ts';
import { SCHEMA_VERSION } from '../../api/version.ts';
import type { Style } from '../style.ts';

export const echoesShape = z.looseObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  peer: pingedShape,
  /** bytes behind the echo header */
  size: z.number(),
  echoes: z.array(z.intersection(echoShape, z.object({ sequence: z.number() }))),
  sent: z.number(),
  received: z.number(),
  lossRatio: z.number(),
  rttMs: z
    .object({ min: z.number(), avg: z.number(), max: z.number(), mdev: z.number() })
    .nullable(),
});
export type Echoes = z.infer<typeof echoesShape>;

export interface EchoesPlan {
  /** 0 = until the signal */
  count: number;
  intervalMs: number;
  size: number;
  send: () => Promise<PingPage>;
  /** told each echo as it ends */
  onEcho: (echo: Echo, sequence: number, page: PingPage) => void;
  signal: AbortSignal;
}

/** Echoes until the count is reached or the signal comes. */
export async function sendEchoes(plan: EchoesPlan): Promise<Echoes> {
  const { count, intervalMs, size, send, onEcho, signal } = plan;
  const echoes: Echoes['echoes'] = [];
  let last: PingPage | undefined;
  for (let sequence = 1; count === 0 || sequence <= count; sequence++) {
    const began = performance.now();
    last = await send();
    const echo = last.echoes[0] as Echo;
    echoes.push({ ...echo, sequence });
    onEcho(echo, sequence, last);
    if (sequence === count || signal.aborted) break;
    const restMs = Math.max(0, intervalMs - (performance.now() - began));
    await sleep(restMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) break;
  }
  const { peer } = last as PingPage;
  return { schemaVersion: SCHEMA_VERSION, peer, size, echoes, ...statisticsOf(echoes) };
}

export function statisticsOf(
  echoes: readonly Echo[],
): Pick<Echoes, 'sent' | 'received' | 'lossRatio' | 'rttMs'> {
  const times = echoes.flatMap((echo) => (echo.state === 'answered' ? echo.rttMs : []));
  const [sent, received] = [echoes.length, times.length];
  const lossRatio = sent === 0 ? 0 : (sent - received) / sent;
  if (received === 0) return { sent, received, lossRatio, rttMs: null };
  const avg = times.reduce((sum, ms) => sum + ms, 0) / received;
  const variance = times.reduce((sum, ms) => sum + (ms - avg) ** 2, 0) / received;
  const round = (ms: number): number => Math.round(ms * 1e4) / 1e4;
  const rttMs = { min: Math.min(...times), avg: round(avg), max: Math.max(...times) };
  return { sent, received, lossRatio, rttMs: { ...rttMs, mdev: round(Math.sqrt(variance)) } };
}

export function renderStart({ peer }: Pick<PingPage, 'peer'>, size: number): string {
  const { address, publicIp, nodeName } = peer;
  const node = nodeName ? `${nodeName} (${publicIp})` : publicIp;
  return `PING ${address} on node ${node}, ${size} bytes, through the overlay`;
}

/** As ping(8) has it. */
export function renderEcho(echo: Echo, sequence: number, address: string, style: Style): string {
  if (echo.state === 'lost') return style.bad(`no answer from ${address}: seq=${sequence}`);
  if (echo.state === 'refused') {
    const mtu = echo.mtu === null ? '' : ` (the largest that passes: ${echo.mtu})`;
    return style.bad(`not delivered: seq=${sequence} ${echo.why}${mtu}`);
  }
  const ttl = echo.ttl === null ? '' : ` ttl=${echo.ttl}`;
  const bytes = echo.payloadBytes + 8;
  return `${bytes} bytes from ${address}: seq=${sequence}${ttl} time=${renderMs(echo.rttMs)} ms`;
}

export function renderEchoes(echoes: Echoes, style: Style): string {
  const { sent, received, lossRatio, rttMs } = echoes;
  const loss = `${Math.round(lossRatio * 1000) / 10}% loss`;
  const lines = [
    '',
    `--- ${echoes.peer.address} ---`,
    `${sent} sent, ${received} received, ${lossRatio > 0 ? style.bad(loss) : loss}`,
  ];
  if (rttMs) {
    const times = [rttMs.min, rttMs.avg, rttMs.max, rttMs.mdev].map(renderMs).join('/');
    lines.push(`rtt min/avg/max/mdev = ${times} ms`);
  }
  return lines.join('\n');
}

/** Three digits that count. */
export function renderMs(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}
