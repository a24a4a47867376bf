/** Area graphs of block characters, several lines high. */

const EIGHTHS = ' ▁▂▃▄▅▆▇█';

/** The newest `width` values, `top` as high as the graph; lines from the top down, older places empty. */
export function areaGraph(
  values: readonly number[],
  width: number,
  rows: number,
  top: number,
): string[] {
  const newest = values.slice(-width);
  const heights = newest.map((value) => heightOf(value, top, rows));
  return Array.from({ length: rows }, (_, line) => {
    const below = (rows - 1 - line) * 8;
    const cell = (height: number): string =>
      EIGHTHS[Math.min(8, Math.max(0, height - below))] as string;
    return heights.map(cell).join('').padStart(width);
  });
}

/** In eighths of a line; whatever is not nothing is seen, and nothing is a base line. */
function heightOf(value: number, top: number, rows: number): number {
  if (value <= 0 || top <= 0) return 1;
  return Math.max(2, Math.round((value / top) * rows * 8));
}

/** A horizontal bar for a share of 0 to 1. */
export function meter(share: number, width: number): { full: string; rest: string } {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * width);
  return { full: '■'.repeat(filled), rest: '·'.repeat(width - filled) };
}

/** The next round number above: graphs do not rescale at every packet. */
export function roundUp(value: number): number {
  if (value <= 0) return 0;
  const step = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((factor) => factor * step >= value) ?? 10) * step;
}
