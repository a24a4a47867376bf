/** /metrics of real daemons: strict format, sums that hold, and a page that names every metric. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Lab } from '../../lab/lab.ts';
import { ping } from '../../lab/traffic.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { parseExposition, type Sample } from '../support/exposition.ts';
import { needs } from '../support/needs.ts';
import { healthPage } from '../support/node-status.ts';

const { after, before, describe, it } = needs('root');

const PORT = 8081;

describe('netns: metrics', () => {
  let lab: Lab;
  const scrape = async (): Promise<Sample[]> => {
    const { status, body } = await healthPage(lab.weftNodes[0] as WeftNode, PORT, '/metrics');
    assert.equal(status, 200);
    return parseExposition(body);
  };
  const sum = (samples: Sample[], name: string, labels: Record<string, string> = {}): number =>
    samples
      .filter((sample) => sample.name === name)
      .filter((sample) =>
        Object.entries(labels).every(([key, text]) => sample.labels[key] === text),
      )
      .reduce((total, { value }) => total + value, 0);

  before(async () => {
    const weft = { kind: 'weft' } as const;
    lab = await Lab.build({ nodes: [weft, weft], workers: 2, flags: [`--healthz-port=${PORT}`] });
  });
  after(() => lab?.close());

  it('the format is strict, what matters is there, process figures too', async () => {
    const samples = await scrape();
    for (const name of [
      'weft_ready',
      'weft_store_up',
      'weft_lease_held',
      'weft_firewall_ok',
      'weft_peers',
    ])
      assert.equal(sum(samples, name), 1, name);
    assert.equal(sum(samples, 'weft_worker_up'), 2);
    assert.ok(sum(samples, 'weft_lease_expiry_timestamp_seconds') > Date.now() / 1000 + 80_000);
    assert.ok(sum(samples, 'weft_offload_enabled') > 3);
    assert.ok(sum(samples, 'weft_table_generation') >= 1);
    assert.ok(sum(samples, 'weft_table_published_timestamp_seconds') > Date.now() / 1000 - 600);
    for (const name of ['process_resident_memory_bytes', 'nodejs_eventloop_lag_seconds'])
      assert.ok(
        samples.some((sample) => sample.name === name),
        name,
      );
  });

  it('counters grow by what was sent; received is forwarded and dropped', async () => {
    const before = await scrape();
    assert.equal((await ping(lab.pod(0), lab.pod(1), { count: 50, intervalMs: 10 })).lossPct, 0);
    const now = await scrape();
    for (const direction of ['outbound', 'inbound']) {
      const grown = (name: string): number =>
        sum(now, name, { direction }) - sum(before, name, { direction });
      assert.ok(grown('weft_forwarded_packets_total') >= 50, direction);
      assert.equal(
        grown('weft_received_packets_total'),
        grown('weft_forwarded_packets_total') + grown('weft_dropped_packets_total'),
      );
    }
  });

  it('batches: buckets grow with their bounds, the last is the count, the sum is the packets', async () => {
    const samples = await scrape();
    for (const direction of ['outbound', 'inbound']) {
      const buckets = samples.filter(
        ({ name, labels }) =>
          name === 'weft_batch_packets_bucket' && labels['direction'] === direction,
      );
      assert.deepEqual(
        buckets.map(({ labels }) => labels['le']),
        ['1', '2', '4', '8', '16', '32', '64', '128', '+Inf'],
      );
      const counts = buckets.map(({ value }) => value);
      assert.deepEqual(
        counts,
        counts.toSorted((a, b) => a - b),
      );
      assert.equal(counts.at(-1), sum(samples, 'weft_batch_packets_count', { direction }));
      assert.ok((counts.at(-1) ?? 0) > 0, direction);
      const packets = sum(samples, 'weft_received_packets_total', { direction });
      assert.equal(sum(samples, 'weft_batch_packets_sum', { direction }), packets);
    }
  });

  it('workers that have little to do wait most of the time', async () => {
    const begin = performance.now();
    const before = await scrape();
    assert.equal((await ping(lab.pod(0), lab.pod(1), { count: 20, intervalMs: 10 })).lossPct, 0);
    const now = await scrape();
    const seconds = (performance.now() - begin) / 1000;
    const grown = (name: string): number => sum(now, name) - sum(before, name);
    assert.ok(grown('weft_worker_breaths_total') > 0);
    const waited = grown('weft_worker_wait_seconds_total');
    assert.ok(waited > 0 && waited < 2 * (seconds + 1), `${waited} s of ${2 * seconds}`);
  });

  it('every metric is on its page', async () => {
    const page = readFileSync(path.join(projectRoot(), 'docs/reference/metrics.md'), 'utf8');
    const names = new Set((await scrape()).map(({ name }) => name));
    for (const name of names)
      if (name.startsWith('weft_')) assert.ok(page.includes(`\`${name}\``), name);
  });
});
