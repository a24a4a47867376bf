/** What the soak prints. Pure functions. */
import { repeatCommand } from './options.ts';
import type { SoakResult } from './result.ts';
import { type Step, stepText, timeText } from './schedule.ts';

const VIOLATIONS_SHOWN = 20;

export function renderSchedule(steps: readonly Step[]): string {
  return steps.map((step) => `${timeText(step.atMs)}  ${stepText(step)}`).join('\n');
}

export function renderResult(result: SoakResult): string {
  return [
    table(
      ['fault', 'times', 'lost', 'silent', 'felt after', 'bound', 'well after', 'bound'],
      result.faults.map((fault) => [
        fault.name,
        String(fault.times),
        String(fault.lostPackets),
        seconds(fault.silentMs),
        seconds(fault.beyondMs),
        seconds(fault.boundMs),
        seconds(fault.wellAfterMs),
        seconds(fault.healMs),
      ]),
    ),
    '',
    table(
      ['daemon', 'lived', 'memory', 'trend', 'descriptors', 'trend'],
      Object.entries(result.lives).map(([name, life]) => [
        name,
        timeText(life.ageMs),
        megabytes(life.rssMaxBytes),
        life.rssGrowthBytes === null ? '-' : megabytes(life.rssGrowthBytes),
        String(life.descriptorsMax),
        life.descriptorGrowth === null ? '-' : String(life.descriptorGrowth),
      ]),
    ),
    '',
    ...lines(result),
    '',
    verdict(result),
  ].join('\n');
}

function lines({
  packets,
  side,
  churn,
  logBytes,
  machine,
  carried,
  fastPath,
}: SoakResult): string[] {
  const logs = Object.entries(logBytes).map(([name, bytes]) => `${name} ${bytes}`);
  return [
    `packets      ${packets.sent} sent, ${packets.lost} lost in windows of faults or against them, longest silence besides ${packets.calmSilenceMs} ms`,
    `transfers    ${side.transfers} with equal hashes (${megabytes(side.transferredBytes)}), ${side.interrupted} ended by faults`,
    `pings        ${side.pings}, ${side.pingsLost} lost`,
    `fast path    ${fastPath}: carried ${megabytes(carried.fastBytes)} of ${megabytes(carried.bytes)}`,
    `churn        ${churn.changes} leases written or removed, ${churn.refused} times the store was away`,
    `logs, bytes  ${logs.join(', ')}`,
    `machine      work took up to ${machine.worstStretch} times its CPU time (bounds were multiplied by that), a timer was up to ${machine.worstLateMs} ms late`,
  ];
}

function verdict(result: SoakResult): string {
  const { violations, steps, seed } = result;
  const ran = `${steps.done} of ${steps.planned} steps in ${timeText(result.ranMs)}, seed ${seed}`;
  if (violations.length === 0) return `ok: ${ran}`;
  const shown = violations
    .slice(0, VIOLATIONS_SHOWN)
    .map(({ atMs, during, text }) => `  ${timeText(atMs)} (${during})\n    ${text}`);
  const more = violations.length - shown.length;
  return [
    `FAILED: ${ran}`,
    ...shown,
    ...(more > 0 ? [`  and ${more} more`] : []),
    ...(result.evidence === null ? [] : [`logs, schedule and windows: ${result.evidence}`]),
    `repeat: ${repeatCommand(result)}`,
  ].join('\n');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => (row[i] as string).length)));
  return all
    .map((row) =>
      row
        .map((cell, i) =>
          i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number),
        )
        .join('  '),
    )
    .join('\n');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
