/** The file that a saved run of bench leaves behind. Everything in it was measured in that run. */
import type { Machine } from '../net/result.ts';

export type MicroMachine = Pick<Machine, 'cpu' | 'cores' | 'kernel' | 'node'>;

/** How long each case was measured. */
export interface Settings {
  quick: boolean;
  /** no new sample after so long */
  maxSeconds: number;
  /** length of one sample */
  sampleSeconds: number;
  samplesMin: number;
}

/** One case. `nsPerOp` and `opsPerSecond` are of the mean of the samples. */
export interface Entry {
  name: string;
  opsPerSecond: number;
  nsPerOp: number;
  /** half the 95 % confidence interval of the mean */
  errorPct: number;
  samples: number;
  /** JavaScript heap that one operation takes, freed later or not */
  heapBytesPerOp: number;
  /** payload moved or summed */
  gbps?: number;
  nsPerSegment?: number;
}

export interface MicroResult {
  schemaVersion: 1;
  kind: 'micro';
  startedAt: string;
  weft: { version: string; commit: string; dirty: boolean };
  machine: MicroMachine;
  settings: Settings;
  entries: Entry[];
}
