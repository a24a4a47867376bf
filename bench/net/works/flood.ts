/** Datagrams: as fast as they can be sent, at a given rate, and the highest rate at which none is lost. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CpuUse } from '../meter.ts';
import { highestPassing } from './bisection.ts';
import {
  freshPort,
  type Measured,
  READY_MS,
  runTool,
  type Stand,
  startTool,
  type Work,
  type WorkContext,
} from './work.ts';

/** What is in queues still arrives, and costs time. */
const SETTLE_MS = 100;

interface Sent {
  sent: number;
  received: number;
  elapsedSeconds: number;
  cpu: CpuUse;
}

/** `rate` in datagrams a second; undefined: as fast as the sender can. */
async function send(
  stand: Stand,
  context: WorkContext,
  bytes: number,
  seconds: number,
  rate?: number,
): Promise<Sent> {
  const port = freshPort();
  const sink = await startTool(stand, context, ['sink', port]);
  try {
    const load = [stand.rig.to.address, port, `${bytes}`, `${seconds}`];
    const args = rate === undefined ? ['flood', ...load] : ['paced', ...load, `${rate}`];
    const { done, cpu } = await stand.meter.cpuOf(async () => {
      const run = await runTool(stand, context, args, seconds);
      await sleep(SETTLE_MS);
      return run;
    });
    sink.signal('SIGTERM');
    await sink.waitForEnd(READY_MS);
    const received = Number(/"received":(\d+)/.exec(sink.output)?.[1]);
    const elapsedSeconds = (done['elapsedNs'] as number) / 1e9;
    return { sent: done['sent'] as number, received, elapsedSeconds, cpu };
  } finally {
    await sink.kill();
  }
}

function valuesOf({ sent, received, elapsedSeconds, cpu }: Sent): Record<string, number> {
  return {
    deliveredPerSecond: received / elapsedSeconds,
    sentPerSecond: sent / elapsedSeconds,
    lossPct: sent === 0 ? 0 : (1 - received / sent) * 100,
    ...cpu,
    ...(received > 0 && { cpuSecondsPerMpackets: (cpu.cpuSeconds / received) * 1e6 }),
  };
}

async function flood(stand: Stand, context: WorkContext, bytes: number): Promise<Measured> {
  return { values: valuesOf(await send(stand, context, bytes, context.seconds)) };
}

/**
 * RFC 2544 section 26.1: the highest rate at which nothing is lost, found by bisection between nothing and what a flood offers. A rate at
 * which something was lost gets a second trial, because a virtual machine that stands still for a moment loses packets at any rate.
 */
async function zeroLoss(stand: Stand, context: WorkContext, bytes: number): Promise<Measured> {
  const offered = valuesOf(await send(stand, context, bytes, TRIAL_SECONDS));
  let best: Record<string, number> | undefined;
  const passes = async (rate: number): Promise<boolean> => {
    const trial = await send(stand, context, bytes, TRIAL_SECONDS, rate);
    if (trial.received < trial.sent || trial.sent === 0) return false;
    best = valuesOf(trial);
    return true;
  };
  const found = await highestPassing({
    upper: offered['sentPerSecond'] as number,
    precision: PRECISION,
    attempts: 2,
    passes,
  });
  if (best === undefined)
    throw new Error(
      `packets are lost at any rate: ${found.trials} trials, the last at ${found.limit.toFixed(0)} packets/s`,
    );
  const { deliveredPerSecond = 0, ...rest } = best;
  return { values: { zeroLossPerSecond: deliveredPerSecond, ...rest, trials: found.trials } };
}

const TRIAL_SECONDS = 1;
/** share of the found rate that it may be too low by */
const PRECISION = 0.03;

const UDP_LOSS = { metric: 'lossPct', unit: '% lost' };
const UDP_COST = { metric: 'cpuSecondsPerMpackets', unit: 'CPU-s/Mpacket' };

function floodWork(bytes: number, more: { quick: boolean; main: boolean }): Work {
  return {
    id: `udp${bytes}`,
    label: `UDP flood, ${bytes} bytes`,
    metric: 'deliveredPerSecond',
    unit: 'packets/s',
    better: 'higher',
    loss: UDP_LOSS,
    cost: UDP_COST,
    ...more,
    run: (stand, context) => flood(stand, context, bytes),
  };
}

function zeroLossWork(bytes: number): Work {
  return {
    id: `zero-loss${bytes}`,
    label: `highest rate without loss, UDP, ${bytes} bytes`,
    metric: 'zeroLossPerSecond',
    unit: 'packets/s',
    better: 'higher',
    loss: UDP_LOSS,
    cost: UDP_COST,
    quick: false,
    main: false,
    run: (stand, context) => zeroLoss(stand, context, bytes),
  };
}

export const floodWorks: Work[] = [
  floodWork(64, { quick: true, main: true }),
  floodWork(512, { quick: false, main: false }),
  floodWork(1400, { quick: true, main: true }),
];
export const zeroLossWorks: Work[] = [zeroLossWork(64), zeroLossWork(1400)];
