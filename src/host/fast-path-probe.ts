/**
 * Does TCP to a peer really leave through the fast path, and come back? A connection to the discard port of its overlay address is tried:
 * the first segment is watched for at the device, encapsulated, and whoever is there answers, if only with a reset.
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Addon } from '../memory/addon.ts';
import { formatAddress, type Words } from '../shared/address.ts';

export interface FastPathProbe {
  /** number of the device that it must leave through */
  device: number;
  /** of the connection, by which it is known */
  sourcePort: number;
  /** overlay addresses of both nodes */
  from: Words;
  to: Words;
}

export interface ProbeResult {
  left: boolean;
  /** false also where the peer is away, or a firewall there drops it */
  answered: boolean;
}

const DISCARD_PORT = 9;
const SEEN_MS = 300;
const LOOK_MS = 5;
/** Below the ports that programs get without asking for one. */
const PORT_FIRST = 10_000;
const PORT_COUNT = 20_000;

export function randomProbePort(): number {
  return PORT_FIRST + Math.floor(Math.random() * PORT_COUNT);
}

/** Ends when there was an answer, 0.3 s at the latest. Throws what the kernel says when it can't be watched. */
export async function probeFastPath(
  addon: Pick<Addon, 'openFastProbe' | 'probeSeen' | 'close'>,
  { device, sourcePort, from, to }: FastPathProbe,
): Promise<ProbeResult> {
  const watch = addon.openFastProbe(device, sourcePort);
  const result: ProbeResult = { left: false, answered: false };
  const socket = connect({
    host: formatAddress(to),
    port: DISCARD_PORT,
    localAddress: formatAddress(from),
    localPort: sourcePort,
  });
  socket.on('connect', () => {
    result.answered = true;
  });
  socket.on('error', ({ code }: NodeJS.ErrnoException) => {
    result.answered ||= code === 'ECONNREFUSED';
  });
  try {
    for (let waitedMs = 0; waitedMs < SEEN_MS && !result.answered; waitedMs += LOOK_MS)
      await sleep(LOOK_MS);
    result.left = addon.probeSeen(watch);
    return result;
  } finally {
    socket.resetAndDestroy();
    addon.close(watch);
  }
}
