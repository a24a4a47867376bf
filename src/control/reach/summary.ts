/** What the background echoes of a node say about all its peers together. */
import type { Peer } from '../../cluster/peers.ts';
import type { OwnRow, Standing } from './row.ts';

export interface SilentPeer extends Pick<Standing, 'silentMs' | 'hasAnswered'> {
  peer: Peer;
}

export interface ReachSummary {
  reachable: number;
  /** not known yet */
  unknown: number;
  /** who does not answer */
  silent: SilentPeer[];
  /** newest round trips; undefined: nobody answered */
  rttMs: { least: number; most: number } | undefined;
}

export function summaryOf(row: Pick<OwnRow, 'size' | 'standings'>): ReachSummary {
  const summary: ReachSummary = { reachable: 0, unknown: 0, silent: [], rttMs: undefined };
  for (const [peer, { state, rttMs, silentMs, hasAnswered }] of row.standings()) {
    if (state === 'ok') summary.reachable++;
    else if (state === 'lost') summary.silent.push({ peer, silentMs, hasAnswered });
    if (rttMs === null) continue;
    const { least, most } = summary.rttMs ?? { least: rttMs, most: rttMs };
    summary.rttMs = { least: Math.min(least, rttMs), most: Math.max(most, rttMs) };
  }
  summary.unknown = row.size - summary.reachable - summary.silent.length;
  return summary;
}
