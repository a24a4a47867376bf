/** The plots of a result, as SVG text. Each takes one link; one without data gives undefined. */
import * as echarts from 'echarts';
import type { BenchResult, LinkInfo, PlaneInfo, Summary } from '../net/result.ts';
import { BASELINE, find } from '../net/statistics.ts';

export interface Plot {
  /** file name without ending */
  name: string;
  title: string;
  svg: string;
}

const WIDTH = 900;
const FONT = 'DejaVu Sans, Verdana, sans-serif';
const WEFT = ['#0b6e4f', '#15a374', '#5fc9a3', '#a5e0c9'];
const KERNEL = '#333a45';
const MIXED = ['#8a5a00', '#d79a2b'];
const OTHERS = ['#7a8ca8', '#a88c7a', '#8fa87a', '#9a7aa8', '#7aa8a3', '#b0b0b0'];
const PERCENTILES = [50, 75, 90, 99, 99.9, 99.99];

/** All plots of all links, in reading order. */
export function makePlots(result: BenchResult): Plot[] {
  return result.links.flatMap((link) =>
    [
      ratioPlot(result, link),
      barPlot(result, link, {
        name: 'throughput',
        title: 'TCP throughput',
        unit: 'Gbit/s, median',
        works: ['tcp1', 'tcp4', 'tcp16'],
        metric: 'gbps',
      }),
      barPlot(result, link, {
        name: 'packet-rate',
        title: 'UDP flood, packets delivered per second',
        unit: 'thousand packets/s, median',
        works: ['udp64', 'udp512', 'udp1400'],
        metric: 'deliveredPerSecond',
        divisor: 1000,
      }),
      barPlot(result, link, {
        name: 'loss',
        title: 'UDP, packets lost',
        unit: '% of what was sent, median',
        works: ['udp64', 'udp512', 'udp1400', 'udp-100m', 'udp-500m', 'udp-1000m'],
        metric: 'lossPct',
      }),
      latencyPlot(result, link),
      barPlot(result, link, {
        name: 'cpu-per-gb',
        title: 'CPU cost of TCP, both nodes, pods and tools',
        unit: 'CPU-seconds per GB, median',
        works: ['tcp1', 'tcp4'],
        metric: 'cpuSecondsPerGb',
      }),
      barPlot(result, link, {
        name: 'cpu-per-packets',
        title: 'CPU cost of a UDP flood, both nodes, pods and tools',
        unit: 'CPU-seconds per million delivered packets, median',
        works: ['udp64', 'udp1400'],
        metric: 'cpuSecondsPerMpackets',
      }),
    ].filter((plot) => plot !== undefined),
  );
}

function colourOf(planes: readonly PlaneInfo[], id: string): string {
  if (id === BASELINE) return KERNEL;
  const groups = [
    { colours: MIXED, isIn: (name: string) => name.includes('kernel') },
    { colours: WEFT, isIn: (name: string) => name.startsWith('weft') },
    { colours: OTHERS, isIn: () => true },
  ];
  const groupOf = (name: string): number => groups.findIndex((group) => group.isIn(name));
  const own = groupOf(id);
  const members = planes.filter(({ id: name }) => name !== BASELINE && groupOf(name) === own);
  const colours = groups[own]?.colours ?? OTHERS;
  return colours[members.findIndex((plane) => plane.id === id) % colours.length] as string;
}

function draw(height: number, option: echarts.EChartsOption): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  const base = { animation: false, backgroundColor: '#ffffff', textStyle: { fontFamily: FONT } };
  chart.setOption({ ...base, ...option });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function heading(title: string, link: LinkInfo): echarts.TitleComponentOption {
  const style = { fontSize: 17, fontFamily: FONT, color: '#1c2430' };
  const small = { fontSize: 12, fontFamily: FONT, color: '#5a6472' };
  return {
    text: title,
    subtext: link.label,
    left: 16,
    top: 10,
    textStyle: style,
    subtextStyle: small,
  };
}

/** 1234, 123, 12.3, 1.23 */
export function shortNumber(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

// ---- bars: a group for each plane, a bar for each work ----

interface BarSpec {
  name: string;
  title: string;
  unit: string;
  works: string[];
  metric: string;
  divisor?: number;
}

function barPlot(result: BenchResult, link: LinkInfo, spec: BarSpec): Plot | undefined {
  const works = result.works.filter((work) => spec.works.includes(work.id));
  const medianOf = (work: string, plane: string): number | undefined => {
    const median = find(result, link.id, work, plane)?.values[spec.metric]?.median;
    return median === undefined ? undefined : median / (spec.divisor ?? 1);
  };
  const planes = result.planes.filter((plane) =>
    works.some((work) => medianOf(work.id, plane.id) !== undefined),
  );
  if (planes.length === 0) return undefined;
  const series = works.map((work, index): echarts.BarSeriesOption => {
    const opacity = 1 - index * (works.length > 3 ? 0.14 : 0.27);
    return {
      type: 'bar',
      name: work.label,
      itemStyle: { color: '#5a6472', opacity },
      label: { show: true, position: 'right', fontSize: 11, formatter: labelOf, fontFamily: FONT },
      data: planes.map((plane) => ({
        value: medianOf(work.id, plane.id) ?? '-',
        itemStyle: { color: colourOf(result.planes, plane.id), opacity },
      })),
    };
  });
  const height = 130 + planes.length * (14 + works.length * 15);
  const svg = draw(height, {
    title: heading(spec.title, link),
    legend: { bottom: 4, itemHeight: 10, textStyle: { fontFamily: FONT } },
    grid: { left: 220, right: 70, top: 66, bottom: 62 },
    xAxis: { type: 'value', name: spec.unit, nameLocation: 'middle', nameGap: 26 },
    yAxis: { type: 'category', inverse: true, data: planes.map((plane) => plane.label) },
    series,
  });
  return { name: `${spec.name}-${link.id}`, title: spec.title, svg };
}

function labelOf({ value }: { value?: unknown }): string {
  return typeof value === 'number' ? shortNumber(value) : '';
}

// ---- latency: percentile curves ----

/** The value that `percentile` % of the round trips do not exceed, over all runs of a cell; in µs. */
export function percentileOf(
  histograms: readonly (readonly (readonly [number, number])[])[],
  percentile: number,
): number | undefined {
  const classes = histograms.flat().sort((a, b) => a[0] - b[0]);
  const total = classes.reduce((sum, [, count]) => sum + count, 0);
  let seen = 0;
  for (const [bound, count] of classes) {
    seen += count;
    if (seen >= (total * percentile) / 100) return bound;
  }
  return undefined;
}

function latencyPlot(result: BenchResult, link: LinkInfo): Plot | undefined {
  const histogramsOf = (plane: string) =>
    result.runs
      .filter((run) => run.link === link.id && run.work === 'rr' && run.plane === plane)
      .flatMap((run) => (run.histogram ? [run.histogram] : []));
  const planes = result.planes.filter((plane) => histogramsOf(plane.id).length > 0);
  if (planes.length === 0) return undefined;
  const series = planes.map(
    (plane): echarts.LineSeriesOption => ({
      type: 'line',
      name: plane.label,
      symbolSize: 6,
      lineStyle: { width: plane.id === BASELINE || plane.id === 'weft' ? 3.5 : 1.5 },
      itemStyle: { color: colourOf(result.planes, plane.id) },
      data: PERCENTILES.map((p) => percentileOf(histogramsOf(plane.id), p) ?? '-'),
    }),
  );
  const title = 'Round trip of 64 bytes, one at a time';
  const legendRows = Math.ceil(planes.length / 3);
  const svg = draw(430 + legendRows * 22, {
    title: heading(title, link),
    legend: { bottom: 4, itemGap: 30, textStyle: { fontFamily: FONT, fontSize: 11 }, width: 840 },
    grid: { left: 80, right: 40, top: 76, bottom: 70 + legendRows * 22 },
    xAxis: {
      type: 'category',
      data: PERCENTILES.map((p) => `p${p}`),
      name: 'percentile of round trips',
      nameLocation: 'middle',
      nameGap: 28,
    },
    yAxis: { type: 'log', name: 'µs (logarithmic)', nameLocation: 'middle', nameGap: 48 },
    series,
  });
  return { name: `latency-${link.id}`, title, svg };
}

// ---- ratios to kernel VXLAN, with whiskers ----

interface RatioRow {
  label: string;
  plane: PlaneInfo;
  summary: Summary;
}

/** weft and mixed pairs only: overlays that do other things besides are in the tables. */
function ratioRows(result: BenchResult, link: LinkInfo): RatioRow[] {
  const planes = result.planes.filter(({ id }) =>
    ['weft', 'weft-fast', 'weft-kernel', 'kernel-weft', 'none'].includes(id),
  );
  return result.works.flatMap((work) =>
    planes.flatMap((plane) => {
      const summary = find(result, link.id, work.id, plane.id);
      return summary?.ratio ? [{ label: `${work.id}  ${plane.id}`, plane, summary }] : [];
    }),
  );
}

function ratioPlot(result: BenchResult, link: LinkInfo): Plot | undefined {
  const rows = ratioRows(result, link);
  if (rows.length === 0) return undefined;
  const ratioOf = (row: RatioRow) => row.summary.ratio as NonNullable<Summary['ratio']>;
  const title = 'Ratio to kernel VXLAN of the same round';
  const svg = draw(120 + rows.length * 24, {
    title: heading(title, link),
    grid: { left: 190, right: 60, top: 66, bottom: 50 },
    xAxis: {
      type: 'value',
      min: 0,
      // The whiskers are drawn by hand: the axis does not know of them.
      max: Math.ceil(Math.max(...rows.map((row) => ratioOf(row).max)) * 10.5) / 10,
      name: 'ratio (rates: more is better; rr: less is better); bar = median, line = least to greatest',
      nameLocation: 'middle',
      nameGap: 26,
    },
    yAxis: { type: 'category', inverse: true, data: rows.map((row) => row.label) },
    series: [
      {
        type: 'bar',
        barWidth: 13,
        label: {
          show: true,
          position: 'insideLeft',
          color: '#ffffff',
          fontSize: 10,
          formatter: labelOf,
          fontFamily: FONT,
        },
        data: rows.map((row) => ({
          value: ratioOf(row).median,
          itemStyle: { color: colourOf(result.planes, row.plane.id) },
        })),
        markLine: {
          silent: true,
          symbol: 'none',
          lineStyle: { color: KERNEL, type: 'dashed', width: 2 },
          label: { formatter: 'kernel', fontFamily: FONT },
          data: [{ xAxis: 1 }],
        },
      },
      {
        type: 'custom',
        z: 10,
        data: rows.map((row, index) => [ratioOf(row).min, ratioOf(row).max, index]),
        renderItem: (_params, api) => {
          const row = api.value(2);
          const [left, y] = api.coord([api.value(0), row]) as [number, number];
          const [right] = api.coord([api.value(1), row]) as [number, number];
          return {
            type: 'line',
            shape: { x1: left, y1: y, x2: right, y2: y },
            style: { stroke: '#c0392b', lineWidth: 2.5 },
          };
        },
      },
    ],
  });
  return { name: `ratio-${link.id}`, title, svg };
}
