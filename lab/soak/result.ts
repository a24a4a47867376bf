/** What a soak found: the object of --json. */

import type { FastPathMode } from '../../src/options/options.ts';
import type { Offloads } from '../fabric.ts';
import type { LifeFigures } from './life.ts';
import type { SideCounts } from './side-traffic.ts';

export interface Violation {
  /** since the begin */
  atMs: number;
  /** the step that was under way, or the last one before */
  during: string;
  text: string;
}

/** All faults of a kind together. */
export interface FaultFigures {
  name: string;
  times: number;
  lostPackets: number;
  /** longest silence on one way, the time of the cause included */
  silentMs: number;
  /** the last loss or silence after the cause was gone, and its bound */
  beyondMs: number;
  boundMs: number;
  /** until all daemons said that all is well, and its bound */
  wellAfterMs: number;
  healMs: number;
}

export interface SoakResult {
  schemaVersion: 1;
  seed: number;
  minutes: number;
  store: 'etcd' | 'file';
  fastPath: FastPathMode;
  links: Offloads;
  /** bytes of pods' packets, sent and delivered by all daemons, and how many of them the fast path carried */
  carried: { bytes: number; fastBytes: number };
  ok: boolean;
  ranMs: number;
  steps: { done: number; planned: number };
  faults: FaultFigures[];
  /** of talkers; lost: in windows of faults, if it is ok */
  packets: { sent: number; received: number; lost: number; calmSilenceMs: number };
  side: SideCounts;
  churn: { changes: number; refused: number };
  /** by node and number of its start */
  lives: Record<string, LifeFigures>;
  logBytes: Record<string, number>;
  /** how busy it was: the latest timer, and how many times longer work took than its CPU time, which bounds were multiplied by */
  machine: { worstLateMs: number; worstStretch: number };
  violations: Violation[];
  /** folder with logs and schedule; null: nothing was violated */
  evidence: string | null;
}
