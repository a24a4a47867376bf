/** Reads what ping and iperf3 print. */

export interface PingResult {
  sent: number;
  received: number;
  lossPct: number;
  /** median of the round trips; null when nothing came back */
  rttMsP50: number | null;
}

/**
 * Parses the text of iputils ping (LC_ALL=C), of which `count` packets are judged: with a deadline it sends some more while it waits.
 * Duplicates don't count as answers.
 */
export function parsePing(text: string, count: number): PingResult {
  const summary = /(\d+) packets transmitted, \d+ received/.exec(text);
  if (!summary)
    throw new Error(`no summary in the output of ping: ${JSON.stringify(text.slice(-300))}`);
  const sent = Math.min(count, Number(summary[1]));
  const timesMs = new Map<number, number>();
  for (const [line, sequence, timeMs] of text.matchAll(/ icmp_seq=(\d+) .*time=([\d.]+) ms.*/g))
    if (Number(sequence) <= count && !line.includes('DUP!'))
      timesMs.set(Number(sequence), Number(timeMs));
  const received = timesMs.size;
  const lossPct = sent === 0 ? 100 : Math.round(((sent - received) / sent) * 10_000) / 100;
  return { sent, received, lossPct, rttMsP50: median([...timesMs.values()]) };
}

export interface TcpResult {
  /** what arrived, in Gbit/s */
  gbps: number;
  retransmits: number;
}

/** Parses `iperf3 -J` of a TCP client; throws with iperf3's own words when the run failed. */
export function parseIperf(text: string): TcpResult {
  let report: IperfReport;
  try {
    report = JSON.parse(text) as IperfReport;
  } catch {
    throw new Error(`iperf3 printed no JSON: ${JSON.stringify(text.slice(0, 300))}`);
  }
  if (report.error) throw new Error(`iperf3: ${report.error}`);
  const bits = report.end?.sum_received?.bits_per_second;
  if (typeof bits !== 'number') throw new Error('iperf3 reported no received rate');
  return { gbps: bits / 1e9, retransmits: report.end?.sum_sent?.retransmits ?? 0 };
}

interface IperfReport {
  error?: string;
  end?: {
    sum_received?: { bits_per_second?: number };
    sum_sent?: { retransmits?: number };
  };
}

/** Middle value (lower one of two); null for an empty list. */
export function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
}
