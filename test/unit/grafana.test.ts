/** Dashboard and alerts: no metric is invented, panels and alerts are complete. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { DROP_NAMES } from '../../src/memory/drops.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { dashboard, dashboardExpressions } from '../support/dashboard.ts';

const read = (file: string): string => readFileSync(path.join(projectRoot(), file), 'utf8');
const rules = read('deploy/grafana/weft-alerts.yaml');

function alertExpressions(): string[] {
  return [...rules.matchAll(/^ {8}expr: (?:>-\n((?: {10}.*\n)+)|(.*)\n)/gm)].map(
    ([, folded, plain]) => folded ?? plain ?? '',
  );
}

/** What /metrics may hold: the documented names, and prom-client's own. */
async function knownMetrics(): Promise<Set<string>> {
  const documented = [...read('docs/reference/metrics.md').matchAll(/`(weft_\w+)`/g)];
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const own = (await registry.getMetricsAsJSON()).map(({ name }) => name);
  return new Set([...documented.map(([, name]) => name as string), ...own]);
}

test('every metric in dashboard and alerts exists', async () => {
  const known = await knownMetrics();
  const expressions = [...dashboardExpressions(), ...alertExpressions()];
  assert.ok(expressions.length > 50, `${expressions.length} expressions`);
  const used = new Set(expressions.flatMap((e) => e.match(/\b(weft|process|nodejs)_\w+/g) ?? []));
  for (const name of used) assert.ok(known.has(name), name);
});

test('every drop reason that an alert names exists', () => {
  const named = [...rules.matchAll(/\b(?:in|out)[A-Z]\w+/g)].map(([name]) => name);
  assert.ok(named.length > 5);
  for (const name of named) assert.ok((DROP_NAMES as string[]).includes(name), name);
});

test('every alert says how bad, what, which command shows it, and where to read on', () => {
  const blocks = rules.split('- alert: ').slice(1);
  const page = read('docs/operations/alerts.md');
  for (const block of blocks) {
    const [name = ''] = block.split('\n');
    assert.match(block, /severity: (critical|warning)\n/, name);
    assert.match(block, /summary: ".+"\n/, name);
    assert.match(block, /description: ".*weft [a-z]+.*"\n/, name);
    assert.ok(block.includes(`runbook: docs/operations/alerts.md#${name.toLowerCase()}\n`), name);
    assert.ok(page.includes(`\n## ${name}\n`), `no section ${name}`);
  }
});

test('the dashboard: schema, unique panels that do not overlap, data source and node chosen by variables', () => {
  assert.ok(dashboard.schemaVersion >= 38);
  const names = dashboard.templating.list.map(({ name }) => name);
  assert.deepEqual(names, ['datasource', 'job', 'instance']);
  const ids = dashboard.panels.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  const cells = new Set<string>();
  for (const { title, type, gridPos, description, targets = [] } of dashboard.panels) {
    const { x, y, w, h } = gridPos;
    assert.ok(x + w <= 24, title);
    for (let row = y; row < y + h; row++)
      for (let column = x; column < x + w; column++) {
        assert.ok(!cells.has(`${column} ${row}`), `${title} lies over another panel`);
        cells.add(`${column} ${row}`);
      }
    if (type === 'row') continue;
    assert.ok(description, `${title} says what it shows`);
    for (const { expr, datasource } of targets) {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's own spelling
      assert.equal(datasource.uid, '${datasource}', title);
      for (const [metric] of expr.matchAll(/\b(?:weft|process|nodejs)_\w+(?:\{[^}]*\})?/g))
        assert.ok(metric.includes('{job=~"$job",instance=~"$instance"'), `${title}: ${metric}`);
    }
  }
});
