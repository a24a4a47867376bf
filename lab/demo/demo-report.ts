/** What the demo prints: picture of the fabric, table of the pairs, JSON. Pure functions. */

/** One ordered pair of pods, named by their nodes. */
export interface PairResult {
  from: string;
  to: string;
  lossPct: number;
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

/** True when no pair lost a packet and TCP worked in each. */
export function allWell(pairs: readonly PairResult[]): boolean {
  return pairs.length > 0 && pairs.every((pair) => pair.lossPct === 0 && pair.tcpGbps !== null);
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
  return JSON.stringify({ nodes, pairs, offloadRatio: offloadRatio(comparison), ok });
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
    `with --offload=off (one packet per system call) ${result.offGbps.toFixed(2)} Gbit/s: ${ratio} times`
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
