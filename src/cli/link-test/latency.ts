/** UDP round trips, one datagram at a time. */
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { performance } from 'node:perf_hooks';
import { BenchError, ECHO_KEY_BYTES } from './protocol.ts';

const DATAGRAM_BYTES = 64;
const TRIPS_MAX = 1000;
const TRIPS_MS = 1_000;
/** the first ones fill caches; on a long path there are few, and half of them count */
const WARM_UP_MAX = 20;
const LOST_MS = 500;

export interface LatencyOptions {
  address: string;
  port: number;
  /** what the far end wants to see first in every datagram */
  key: string;
  signal: AbortSignal;
}

export interface LatencyResult {
  p50Us: number;
  p99Us: number;
  lost: number;
}

/** Throws BenchError when nothing at all comes back. */
export async function measureLatency(options: LatencyOptions): Promise<LatencyResult> {
  const { address, port, signal } = options;
  const socket = dgram.createSocket({ type: net.isIPv6(address) ? 'udp6' : 'udp4', signal });
  // Unreachable messages count as losses.
  socket.on('error', () => undefined);
  try {
    socket.connect(port, address);
    await once(socket, 'connect');
    return await manyTrips(socket, options);
  } finally {
    if (!signal.aborted) socket.close();
  }
}

async function manyTrips(socket: dgram.Socket, options: LatencyOptions): Promise<LatencyResult> {
  const datagram = Buffer.alloc(DATAGRAM_BYTES);
  datagram.write(options.key, 'hex');
  const trips: number[] = [];
  let lost = 0;
  const endMs = performance.now() + TRIPS_MS;
  for (let i = 0; i < TRIPS_MAX && performance.now() < endMs; i++) {
    options.signal.throwIfAborted();
    datagram.writeUInt32BE(i, ECHO_KEY_BYTES);
    const ms = await oneTrip(socket, datagram);
    if (ms === undefined) lost++;
    else trips.push(ms * 1000);
  }
  const counted = trips.slice(Math.min(WARM_UP_MAX, Math.floor(trips.length / 2)));
  if (counted.length > 0)
    return { p50Us: percentile(counted, 50), p99Us: percentile(counted, 99), lost };
  throw new BenchError(
    'TCP passes, but no UDP datagram came back; let UDP of this port through both firewalls',
  );
}

/** Milliseconds, or undefined when the answer does not come. */
function oneTrip(socket: dgram.Socket, datagram: Buffer): Promise<number | undefined> {
  return new Promise((resolve) => {
    const startMs = performance.now();
    const finish = (ms?: number): void => {
      clearTimeout(timer);
      socket.off('message', onMessage).off('close', onClose);
      resolve(ms);
    };
    const onMessage = (answer: Buffer): void => {
      // A late answer to an earlier datagram is not this one's.
      if (answer.equals(datagram)) finish(performance.now() - startMs);
    };
    const onClose = (): void => finish();
    const timer = setTimeout(finish, LOST_MS);
    socket.on('message', onMessage).on('close', onClose);
    socket.send(datagram, () => undefined);
  });
}

/** Nearest rank. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] as number;
}
