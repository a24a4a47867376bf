/** The daemon's pages /ping and /reach, for the commands that wait for echoes. */
import { pageUrl } from '../../api/pages.ts';
import { type PingPage, pingShape } from '../../api/ping.ts';
import { type ReachPage, reachShape } from '../../api/reach.ts';
import { fetchShape } from '../show.ts';

/** A round, other daemons' rounds, and others again that relay. */
const REACH_TIMEOUT_MS = 40_000;
const PING_TIMEOUT_MS = 10_000;

export interface EchoRequest {
  key: string;
  family: 4 | 6;
  size: number;
  timeoutMs: number;
}

/** One echo. */
export async function fetchEcho(
  socket: string,
  { key, family, size, timeoutMs }: EchoRequest,
): Promise<PingPage> {
  const page = pageUrl('/ping', { peer: key, family: `${family}`, size, timeout: timeoutMs });
  return fetchShape(socket, page, pingShape, PING_TIMEOUT_MS);
}

export function fetchReach(socket: string): Promise<ReachPage> {
  return fetchShape(socket, '/reach', reachShape, REACH_TIMEOUT_MS);
}
