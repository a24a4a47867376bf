/** What the demo prints: picture of the fabric, table of the pairs, verdict, JSON. Pure functions. */
const SCHEMA_VERSION = 1;

/** One ordered pair of pods, named by their nodes. */
export interface PairResult {
  from: string;
  to: string;
  /** pings */
  sent: number;
  lost: number;
  lossPct: number;
  /** of as many pings more, because some were lost; null: all were answered */
  againLost: number | null;
  rttMsP50: number | null;
  tcpGbps: number | null;
}

/** A node as the picture shows it. */
export interface PictureNode {
  name: string;
  kind: string;
  underlay: string;
  subnet: string;
  pod: string;
}

/** One TCP stream with all offloads and with one packet per system call. */
export interface OffloadComparison {
  from: string;
  to: string;
  fullGbps: number;
  offGbps: number;
}

/** Pairs that lost pings twice, or through which TCP did not get. One lost ping alone, on a busy machine, is no failure. */
export function failedPairs(pairs: readonly PairResult[]): PairResult[] {
  return pairs.filter(({ againLost, tcpGbps }) => (againLost ?? 0) > 0 || tcpGbps === null);
}

/** The last line for people. `problem`: what went wrong besides the pairs, '' if nothing. */
export function renderVerdict(pairs: readonly PairResult[], problem: string): string {
  const failures = [...failedPairs(pairs).map(failureOf), ...(problem === '' ? [] : [problem])];
  if (pairs.length === 0) return 'FAILED: there are no pairs';
  if (failures.length > 0) return `FAILED: ${failures.join('; ')}`;
  const lossy = pairs.filter(({ lost }) => lost > 0).map(lossOf);
  return `all ${pairs.length} pairs talk${lossy.length > 0 ? `; ${lossy.join('; ')}` : ''}`;
}

function failureOf(pair: PairResult): string {
  const loss = pair.lost > 0 ? lossOf(pair) : `${pair.from}→${pair.to}`;
  return pair.tcpGbps === null ? `${loss}, TCP failed` : loss;
}

function lossOf({ from, to, sent, lost, againLost }: PairResult): string {
  return `${from}→${to} lost ${lost} of ${sent} pings (asked again: ${againLost ?? 0} of ${sent})`;
}

/** How many times faster the offloads make it, to one digit; null when it is not known. */
export function offloadRatio(result: OffloadComparison | undefined): number | null {
  if (!result || result.offGbps <= 0) return null;
  return Math.round((result.fullGbps / result.offGbps) * 10) / 10;
}

/** The object that --json prints, on one line. */
export function renderJson(
  nodes: number,
  pairs: readonly PairResult[],
  comparison: OffloadComparison | undefined,
  ok: boolean,
): string {
  const failed = failedPairs(pairs).map(({ from, to }) => ({ from, to }));
  const ratio = offloadRatio(comparison);
  const head = { schemaVersion: SCHEMA_VERSION, nodes };
  return JSON.stringify({ ...head, pairs, offloadRatio: ratio, failed, ok });
}

/** A table with one line per pair. */
export function renderTable(pairs: readonly PairResult[]): string {
  const rows = pairs.map((pair) => [
    pair.from,
    pair.to,
    `${pair.lossPct} %`,
    pair.rttMsP50 === null ? '-' : `${pair.rttMsP50.toFixed(3)} ms`,
    pair.tcpGbps === null ? 'failed' : `${pair.tcpGbps.toFixed(2)} Gbit/s`,
  ]);
  const head = ['from', 'to', 'loss', 'rtt p50', 'tcp'];
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => (row[i] as string).length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) =>
        i < 2 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number),
      )
      .join('  ');
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join(
    '\n',
  );
}

/** Boxes hanging from the underlay, in plain ASCII. */
export function renderPicture(nodes: readonly PictureNode[], backend: string): string {
  const boxes = nodes.map(boxOf);
  const title = ` underlay 10.99.0.0/24, overlay 10.244.0.0/16 (${backend}) `;
  const width = boxes.reduce((sum, box) => sum + (box[0] as string).length + 1, -1);
  const height = Math.max(0, ...boxes.map((box) => box.length));
  const lines = Array.from({ length: height }, (_, i) => boxes.map((box) => box[i]).join(' '));
  return [title.padStart((width + title.length) >> 1, '=').padEnd(width, '='), ...lines].join('\n');
}

/** The line that compares offloads on and off. */
export function renderComparison(result: OffloadComparison): string {
  const ratio = offloadRatio(result)?.toFixed(1) ?? 'infinitely many';
  return (
    `one TCP stream ${result.from} to ${result.to}: ${result.fullGbps.toFixed(2)} Gbit/s, ` +
    `with --offload=off --fast-path=off (one packet per system call) ${result.offGbps.toFixed(2)} Gbit/s: ${ratio} times`
  );
}

/** A box and the line that ties it to the underlay; all lines are equally wide. */
function boxOf(node: PictureNode): string[] {
  const texts = [
    `${node.name}: ${node.kind}`,
    `underlay ${node.underlay}`,
    `subnet ${node.subnet}`,
    `pod ${node.pod}`,
  ];
  const width = Math.max(...texts.map((text) => text.length)) + 4;
  const border = `+${'-'.repeat(width - 2)}+`;
  const tie = '|'.padStart(width >> 1).padEnd(width);
  return [tie, border, ...texts.map((text) => `| ${text.padEnd(width - 4)} |`), border];
}
