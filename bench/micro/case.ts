/** What is measured: one name in the table, and the work behind it. */

export interface Case {
  /** "subject/what, how large": the filter of the command line looks into it */
  name: string;
  /** operations that one call of `run` does; small ones are done in thousands, so that the call costs nothing beside them */
  opsPerCall: number;
  /** payload bytes of one operation, for Gbit/s */
  bytesPerOp?: number;
  /** packets that one operation makes of a super-packet or merges into one */
  segmentsPerOp?: number;
  /** Builds what the work needs. Called right before the measurement, so that one case's memory does not burden the next. */
  open(): Work;
}

export interface Work {
  /** Does the work and returns a number made from every result: V8 can't leave out what it depends on. */
  run(): number;
  /** what every call of `run` must return, known without the code under test */
  expected: number;
  /** Gives back descriptors and settings. */
  close?(): void;
}
