/** Dashboard and alerts as Prometheus sees them: every expression parses, each alert fires on made series. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { projectRoot } from '../../src/shared/root.ts';
import { dashboardExpressions } from '../support/dashboard.ts';
import { needs } from '../support/needs.ts';

const { test } = needs('promtool');

const folder = path.join(projectRoot(), 'deploy/grafana');
const read = (file: string): string => readFileSync(path.join(folder, file), 'utf8');
const promtool = (...args: string[]): string =>
  execFileSync('promtool', args, { cwd: folder }).toString();

test('promtool takes the rules, and every alert fires on made series', () => {
  assert.match(promtool('check', 'rules', 'weft-alerts.yaml'), /SUCCESS: 18 rules/);
  assert.match(promtool('test', 'rules', 'weft-alerts.test.yaml'), /SUCCESS/);
  const alerts = [...read('weft-alerts.yaml').matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  for (const name of alerts)
    assert.match(
      read('weft-alerts.test.yaml'),
      new RegExp(`alertname: ${name}\\n +exp_alerts:\\n +- exp_labels`),
      `no test in which ${name} fires`,
    );
});

test('promtool parses every expression of the dashboard', (t) => {
  const temporary = mkdtempSync(path.join(os.tmpdir(), 'weft-promql-'));
  t.after(() => rmSync(temporary, { recursive: true, force: true }));
  const expressions = dashboardExpressions().map((expr) =>
    expr.replaceAll('$__rate_interval', '1m').replaceAll('$__range', '1h'),
  );
  const rules = expressions.map((expr, i) => ({ record: `weft:expression:${i}`, expr }));
  const file = path.join(temporary, 'rules.json');
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
  assert.match(promtool('check', 'rules', file), new RegExp(`SUCCESS: ${rules.length} rules`));
});
