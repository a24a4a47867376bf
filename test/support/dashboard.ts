/** The Grafana dashboard as the tests read it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from '../../src/shared/root.ts';

interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  datasource?: { uid: string };
  targets?: { expr: string; datasource: { uid: string } }[];
}
interface Dashboard {
  schemaVersion: number;
  uid: string;
  panels: Panel[];
  templating: { list: { name: string; type: string }[] };
  annotations: { list: { expr?: string }[] };
}
const file = path.join(projectRoot(), 'deploy/grafana/weft-dashboard.json');
export const dashboard = JSON.parse(readFileSync(file, 'utf8')) as Dashboard;

/** Every PromQL expression of panels and annotations. */
export function dashboardExpressions(): string[] {
  const shown = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  return [...shown, ...dashboard.annotations.list.flatMap(({ expr }) => expr ?? [])];
}
