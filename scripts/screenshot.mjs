/**
 * Pictures of the web page for the README: a lab of five nodes under traffic, light and dark, in docs/images (after "npm run build", as root).
 *   node scripts/screenshot.mjs
 */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { complaintsOf, openBrowser } from '../dist/lab/browser.js';
import { Lab } from '../dist/lab/lab.js';
import { startDrops, startLoads } from '../dist/lab/load.js';

const images = path.join(import.meta.dirname, '../docs/images');
/** Long enough to fill the charts. */
const TRAFFIC_MS = 115_000;

const weft = { kind: 'weft' };
const lab = await Lab.build({
  nodes: [weft, weft, weft, { kind: 'kernel' }, weft],
  workers: 2,
  flags: ['--admin-listen=8475'],
});
let opened;
try {
  await startLoads(lab, [
    { from: 0, to: 1, rate: '160M' },
    { from: 2, to: 0, rate: '90M' },
    { from: 0, to: 3, rate: '6M' },
    { from: 4, to: 0, rate: '700K' },
  ]);
  startDrops(lab, 0);
  await sleep(TRAFFIC_MS);
  opened = await openBrowser(lab.nodes[0].namespace);
  const page = await opened.browser.newPage({ viewport: { width: 1360, height: 960 } });
  const complaints = complaintsOf(page);
  await page.goto('http://127.0.0.1:8475/');
  await page
    .locator('.flow:not([hidden])')
    .first()
    .waitFor({ state: 'attached', timeout: 120_000 });
  mkdirSync(images, { recursive: true });
  for (const [scheme, file] of [
    ['light', 'page.png'],
    ['dark', 'page-dark.png'],
  ]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.screenshot({ path: path.join(images, file), fullPage: true });
  }
  if (complaints.length > 0) throw new Error(complaints.join('\n'));
} finally {
  await opened?.close();
  await lab.close();
}
