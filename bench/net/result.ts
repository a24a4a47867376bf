/** The file that a run of bench:net leaves behind and that the report is made from. Everything in it was measured in that run. */

export const LINK_IDS = [
  'veth',
  'wire',
  'veth-9000',
  'wire-9000',
  'veth-ipv6',
  'wire-ipv6',
] as const;
export type LinkId = (typeof LINK_IDS)[number];
export type Direction = 'higher' | 'lower';

/** One data plane under test: how two pods on two nodes are joined. */
export interface PlaneInfo {
  /** "weft", "kernel", "fastd" */
  id: string;
  label: string;
  /** what it does besides carrying packets, such as encryption; empty when nothing */
  besides: string;
  /** version of the program or the kernel */
  version: string;
  /** MTU that its pods had */
  podMtu: number;
}

export interface LinkInfo {
  id: LinkId;
  label: string;
}

/** A value of the runs, and the unit it is shown in. */
export interface Quantity {
  metric: string;
  unit: string;
}

/** One kind of work. `metric` is the one that ratios are made of. */
export interface WorkInfo {
  /** "tcp1", "udp64", "rr" */
  id: string;
  label: string;
  metric: string;
  unit: string;
  better: Direction;
  /** what was lost on the way; absent in results of earlier versions, like the next two */
  loss?: Quantity | undefined;
  /** what a unit of the work cost in processor time */
  cost?: Quantity | undefined;
  /** a second value beside the main one, in µs: p99Us */
  tail?: string | undefined;
  /** TCP congestion control of its own; absent: the session's */
  congestion?: string | undefined;
}

/** What else the machine did during a run. */
export interface Conditions {
  /** load average of the minute before it */
  load1: number;
  /** time that the hypervisor gave to others, in % of all cores */
  stealPct: number;
  /** time of processes that have nothing to do with the run, in % of all cores */
  foreignPct: number;
}

/** One measurement. A run that failed has `error` and no values. */
export interface Run {
  link: LinkId;
  work: string;
  plane: string;
  /** counted from 1; runs of one round follow each other and are compared with each other */
  round: number;
  startedAt: string;
  /**
   * tcp*: gbps, retransmits, retransmitsPerGb, cpuSecondsPerGb · udp*: deliveredPerSecond, sentPerSecond, lossPct,
   * cpuSecondsPerMpackets · zero-loss*: as udp*, zeroLossPerSecond, trials · rr*, connect: p50Us, p99Us, p999Us, maxUs, meanUs,
   * perSecond, lost, lossPct, cpuUsPerTrip. All: cpuSeconds, of which daemonCpuSeconds and toolCpuSeconds (see CpuUse in meter.ts); in
   * results of earlier versions cpuSeconds are of the whole machine.
   */
  values?: Record<string, number>;
  /** rr*: round trips as [upper bound in µs, count], ascending, empty classes left out */
  histogram?: [number, number][];
  /** absent in results of earlier versions */
  conditions?: Conditions | undefined;
  error?: string;
}

export interface Spread {
  median: number;
  min: number;
  max: number;
  /** how many runs or pairs */
  count: number;
}

/** All rounds of one plane at one work on one link. */
export interface Summary {
  link: LinkId;
  work: string;
  plane: string;
  /** of every value of the runs */
  values: Record<string, Spread>;
  /** main metric over kernel VXLAN's of the same round, one ratio a pair; absent without such pairs */
  ratio?: Spread;
  failed: number;
}

export interface Machine {
  cpu: string;
  cores: number;
  memoryGib: number;
  kernel: string;
  distribution: string;
  node: string;
  /** the hypervisor as the kernel names it, or "none" */
  hypervisor: string;
  /** frequency governor of the first core; absent where the machine has none */
  governor?: string | undefined;
  /** what a system call, and a switch between two processes on one CPU, take; absent in results of earlier versions */
  systemCallNs?: number | undefined;
  switchNs?: number | undefined;
}

export interface BenchResult {
  schemaVersion: 1;
  kind: 'net';
  startedAt: string;
  finishedAt: string;
  /** false: stopped early, what was measured until then */
  complete: boolean;
  weft: { version: string; commit: string; dirty: boolean };
  machine: Machine;
  settings: {
    rounds: number;
    seconds: number;
    warmupSeconds: number;
    quick: boolean;
    /** TCP congestion control of the works that name none */
    congestion: string;
  };
  links: LinkInfo[];
  planes: PlaneInfo[];
  works: WorkInfo[];
  runs: Run[];
  summaries: Summary[];
}
