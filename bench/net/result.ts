/** The file that a run of bench:net leaves behind and that the report is made from. Everything in it was measured in that run. */

export type LinkId = 'veth' | 'wire';
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

/** One kind of work. `metric` is the one that ratios are made of. */
export interface WorkInfo {
  /** "tcp1", "udp64", "rr" */
  id: string;
  label: string;
  metric: string;
  unit: string;
  better: Direction;
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
   * tcp*: gbps, retransmits, cpuSeconds, cpuSecondsPerGb · udp*: deliveredPerSecond, sentPerSecond, lossPct, cpuSeconds,
   * cpuSecondsPerMpackets · rr*: p50Us, p99Us, p999Us, maxUs, meanUs, perSecond, lost · connect: perSecond, p50Us, p99Us.
   * CPU seconds are of the whole machine (both nodes, both pods, tools): user, system, softirq and irq of /proc/stat.
   */
  values?: Record<string, number>;
  /** rr*: round trips as [upper bound in µs, count], ascending, empty classes left out */
  histogram?: [number, number][];
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
    /** TCP congestion control of the pods */
    congestion: string;
  };
  links: LinkInfo[];
  planes: PlaneInfo[];
  works: WorkInfo[];
  runs: Run[];
  summaries: Summary[];
}
