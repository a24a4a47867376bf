/** What talkers and the soak tell each other. Times are of monotonicMs(), in ms. */

/** Losses are known to this: packets are counted by the time they were sent. */
export const BUCKET_MS = 100;

/** From one report of a talker to its next. */
export const REPORT_MS = 500;

export interface TalkerTask {
  /** number of the pod that talks, from 0 */
  pod: number;
  own: readonly { family: 4 | 6; address: string }[];
  others: readonly { pod: number; family: 4 | 6; address: string }[];
  /** from one number to the next */
  everyMs: number;
}

/** other pod, family, bucket (time sent / BUCKET_MS), packets */
export type Count = [pod: number, family: 4 | 6, bucket: number, packets: number];

/** other pod, family, last arrival before a silence, first after it */
export type Gap = [pod: number, family: 4 | 6, fromMs: number, untilMs: number];

/** What happened since the last one. */
export interface TalkerReport {
  pod: number;
  atMs: number;
  /** how late its timer was at worst: what this machine's scheduler does to everybody */
  lateMs: number;
  /** to the other pod */
  sent: Count[];
  /** from the other pod, hash and all in order, each number once */
  got: Count[];
  /** from the other pod */
  gaps: Gap[];
  /** numbers that came more than once */
  repeated: number;
  /** datagrams whose hash is wrong */
  corrupt: number;
  /** datagrams that the pod's own kernel did not take */
  refused: number;
}

/** One direction between two pods in one family. */
export interface Way {
  from: number;
  to: number;
  family: 4 | 6;
}

export function wayText({ from, to, family }: Way): string {
  return `p${from + 1} to p${to + 1} IPv${family}`;
}
