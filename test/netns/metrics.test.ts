/** /metrics of real daemons: strict format, sums that hold, and a page that names every metric. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Lab } from '../../src/lab/lab.ts';
import { projectRoot } from '../../src/lab/root.ts';
import { ping } from '../../src/lab/traffic.ts';
import type { WeftNode } from '../../src/lab/weft-node.ts';
import { parseExposition, type Sample } from '../support/exposition.ts';
import { healthPage } from '../support/node-status.ts';

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

  it('every metric is on its page', async () => {
    const page = readFileSync(path.join(projectRoot(), 'docs/reference/metrics.md'), 'utf8');
    const names = new Set((await scrape()).map(({ name }) => name));
    for (const name of names)
      if (name.startsWith('weft_')) assert.ok(page.includes(`\`${name}\``), name);
  });
});
