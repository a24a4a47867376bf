/** Line charts over the last two minutes. The legend is the readout: of the newest sample, or of the one under the pointer. */
import { element, set, shape, write } from './dom.js';

const SPAN_MS = 120_000;
/** A longer pause between samples is a gap in the line. */
const GAP_MS = 3_500;
const MARGIN = { top: 8, right: 12, bottom: 20, left: 12 };

/**
 * series: [{name, label, of: (sample) => number, tone}]; format turns a value into text; floor is the least top of the scale.
 * Returns update(samples), newest last.
 */
export function createChart(figure, { title, series, format, floor, height }) {
  const values = new Map(series.map(({ name }) => [name, element('output', { class: 'value' })]));
  const legend = series.map(({ name, label, tone }) =>
    element(
      'span',
      { class: 'key', 'data-tone': tone },
      element('i', { 'aria-hidden': 'true' }),
      `${label} `,
      values.get(name),
    ),
  );
  const when = element('span', { class: 'when muted' });
  const caption = element('figcaption', {}, element('strong', {}, title), when, ...legend);
  const drawing = shape('svg', { role: 'img', class: 'chart', height });
  figure.append(caption, drawing);
  const state = { samples: [], pointedMs: undefined };
  const redraw = () => draw({ drawing, values, when, state, title, series, format, floor, height });
  drawing.addEventListener('pointermove', (event) => {
    const box = drawing.getBoundingClientRect();
    const share = (event.clientX - box.left - MARGIN.left) / plotWidth(box.width);
    state.pointedMs = (1 - Math.min(1, Math.max(0, share))) * SPAN_MS;
    redraw();
  });
  drawing.addEventListener('pointerleave', () => {
    state.pointedMs = undefined;
    redraw();
  });
  new ResizeObserver(redraw).observe(figure);
  return (samples) => {
    const timed = samples.map((sample) => ({ ...sample, atMs: Date.parse(sample.at) }));
    state.samples = timed.filter(({ atMs }) => Number.isFinite(atMs));
    redraw();
  };
}

const plotWidth = (width) => Math.max(1, width - MARGIN.left - MARGIN.right);

function draw({ drawing, values, when, state, title, series, format, floor, height }) {
  const width = Math.max(200, drawing.clientWidth);
  const { samples, pointedMs } = state;
  const last = samples.at(-1);
  const nowMs = last?.atMs ?? 0;
  const top = niceTop(Math.max(floor, ...samples.flatMap((s) => series.map(({ of }) => of(s)))));
  const x = (atMs) => MARGIN.left + (1 - (nowMs - atMs) / SPAN_MS) * plotWidth(width);
  const y = (value) =>
    height - MARGIN.bottom - (value / top) * (height - MARGIN.top - MARGIN.bottom);
  const shown = pointedMs === undefined ? last : nearest(samples, nowMs - pointedMs);
  const pieces = [...grid(width, y, top, format)];
  for (const { of, tone } of series) pieces.push(...line(samples, x, (s) => y(of(s)), y(0), tone));
  if (shown && pointedMs !== undefined)
    pieces.push(
      shape('line', {
        class: 'cross',
        x1: x(shown.atMs),
        x2: x(shown.atMs),
        y1: MARGIN.top,
        y2: y(0),
      }),
    );
  for (const { of, tone } of shown ? series : [])
    pieces.push(
      shape('circle', {
        class: 'point',
        'data-tone': tone,
        cx: x(shown.atMs),
        cy: y(of(shown)),
        r: 3,
      }),
    );
  drawing.replaceChildren(...pieces);
  const readings = series.map(({ name, label, of }) => {
    const text = shown ? format(of(shown)) : 'no data yet';
    write(values.get(name), text);
    return `${label} ${text}`;
  });
  write(when, shown && shown !== last ? `${Math.round((nowMs - shown.atMs) / 1000)} s ago` : '');
  set(drawing, { width, 'aria-label': `${title}: ${readings.join(', ')}` });
}

function grid(width, y, top, format) {
  const lines = [0, 0.5, 1].flatMap((share) => {
    const at = Math.round(y(top * share)) + 0.5;
    const rule = shape('line', {
      class: share === 0 ? 'base' : 'rule',
      x1: MARGIN.left,
      x2: width - MARGIN.right,
      y1: at,
      y2: at,
    });
    if (share === 0) return [rule];
    return [
      rule,
      shape('text', { class: 'tick', x: MARGIN.left, y: at + 12 }, format(top * share)),
    ];
  });
  const ends = [
    ['−2 min', MARGIN.left, 'start'],
    ['−1 min', MARGIN.left + plotWidth(width) / 2, 'middle'],
    ['now', width - MARGIN.right, 'end'],
  ];
  const base = y(0) + 15;
  return [
    ...lines,
    ...ends.map(([text, x, anchor]) =>
      shape('text', { class: 'tick', x, y: base, 'text-anchor': anchor }, text),
    ),
  ];
}

/** One path per stretch without a gap, and the same as a filled area. */
function line(samples, x, y, zero, tone) {
  const stretches = [];
  let before = Number.NEGATIVE_INFINITY;
  for (const sample of samples) {
    if (sample.atMs - before > GAP_MS) stretches.push([]);
    before = sample.atMs;
    stretches.at(-1).push([x(sample.atMs).toFixed(1), y(sample).toFixed(1)]);
  }
  return stretches.flatMap((points) => {
    const path = points.map(([px, py], i) => `${i === 0 ? 'M' : 'L'}${px} ${py}`).join('');
    const area = `${path}L${points.at(-1)[0]} ${zero}L${points[0][0]} ${zero}Z`;
    return [
      shape('path', { class: 'area', 'data-tone': tone, d: area }),
      shape('path', { class: 'curve', 'data-tone': tone, d: path }),
    ];
  });
}

function nearest(samples, atMs) {
  const distance = (sample) => Math.abs(sample.atMs - atMs);
  return samples.reduce(
    (best, sample) => (distance(sample) < distance(best) ? sample : best),
    samples[0],
  );
}

/** The next round number whose half is round too. */
function niceTop(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 6, 8, 10].map((step) => step * unit).find((step) => step >= value * 0.999);
}
