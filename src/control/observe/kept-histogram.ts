/** A Prometheus histogram whose buckets are counted elsewhere; prom-client's own can only be fed value by value. */
import { Gauge, type MetricObjectWithValues, type MetricValue, type Registry } from 'prom-client';

/** One series. */
export interface Distribution {
  labels: Record<string, string>;
  /** how many values lie in each bucket alone; one more than there are bounds. Nothing was counted yet: undefined */
  counts: readonly number[] | undefined;
  /** of all values */
  sum: number | undefined;
}

/** To prom-client it is a gauge that tells other lines than its own. */
export class KeptHistogram extends Gauge {
  private readonly histogram: string;
  private readonly bounds: readonly number[];
  private readonly read: () => readonly Distribution[];

  constructor(
    registry: Registry,
    name: string,
    help: string,
    bounds: readonly number[],
    read: () => readonly Distribution[],
  ) {
    super({ name, help, registers: [registry] });
    this.histogram = name;
    this.bounds = bounds;
    this.read = read;
  }

  override async get(): Promise<MetricObjectWithValues<MetricValue<string>>> {
    const values = this.read().flatMap((series) => this.lines(series));
    return { ...(await super.get()), type: 'histogram' as never, values };
  }

  private lines({ labels, counts = [], sum = 0 }: Distribution): MetricValue<string>[] {
    let total = 0;
    const line = (ending: string, value: number, more = {}): MetricValue<string> => {
      const named = { metricName: `${this.histogram}_${ending}`, value };
      return { ...named, labels: { ...labels, ...more } };
    };
    const buckets = [...this.bounds, '+Inf'].map((bound, i) => {
      total += counts[i] ?? 0;
      return line('bucket', total, { le: bound });
    });
    return [...buckets, line('sum', sum), line('count', total)];
  }
}
