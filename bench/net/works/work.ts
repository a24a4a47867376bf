/** What a kind of work is, and what all kinds share. */
import type { RunOptions } from '../../../lab/command.ts';
import type { LabProcess } from '../../../lab/process.ts';
import { messageOf } from '../../../src/shared/errors.ts';
import type { Meter } from '../meter.ts';
import type { Endpoint, Rig } from '../planes/plane.ts';
import type { Run, WorkInfo } from '../result.ts';
import type { Unpacked } from '../unpacked.ts';

export interface WorkContext {
  seconds: number;
  /** at the start of a TCP run, not counted */
  warmupSeconds: number;
  /** path of the traffic tool */
  tool: string;
  /** TCP congestion control of the streams */
  congestion: string;
}

/** Two pods to work between, and the meter that what runs in them is started by. */
export interface Stand {
  rig: Rig;
  meter: Meter;
}

export type Measured = Pick<Run, 'values' | 'histogram'>;

export interface Work extends WorkInfo {
  /** worth measuring when time is short */
  quick: boolean;
  /** measured with every data plane, and on every link; others with the core planes on the main links */
  main: boolean;
  /** what it needs besides, unpacked and not installed */
  unpacked?: Unpacked;
  run(stand: Stand, context: WorkContext): Promise<Measured>;
}

export const READY_MS = 5_000;
export const GRACE_MS = 15_000;
let nextPort = 20_000;

/** A port of its own for every run: what an earlier run left behind can't be in the way. */
export function freshPort(): string {
  nextPort = nextPort >= 29_999 ? 20_000 : nextPort + 1;
  return String(nextPort);
}

export function parseJson<T>(what: string, text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new Error(
      `${what} printed no JSON (${messageOf(error)}): ${JSON.stringify(text.slice(0, 200))}`,
    );
  }
}

/** Runs the traffic tool in the sending pod; it prints one line of JSON. */
export async function runTool(
  { rig, meter }: Stand,
  { tool }: WorkContext,
  args: string[],
  seconds: number,
): Promise<Record<string, unknown>> {
  const options: RunOptions = { timeoutMs: seconds * 1000 + GRACE_MS };
  const { stdout } = await meter.exec(rig.from, tool, args, options);
  return parseJson('traffic', stdout);
}

/** Starts a server of the traffic tool in the receiving pod, and returns when it listens. */
export async function startTool(
  { rig, meter }: Stand,
  { tool }: WorkContext,
  args: string[],
): Promise<LabProcess> {
  const server = meter.spawn(rig.to, tool, args);
  await server.waitForOutput(/ready/, READY_MS);
  return server;
}

/** An address as it is written before a port: IPv6 in brackets. */
export function hostOf({ address }: Endpoint): string {
  return address.includes(':') ? `[${address}]` : address;
}
