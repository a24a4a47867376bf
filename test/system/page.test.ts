/** netns: the web page in a real Chromium, of a real daemon under traffic. */
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import type { BrowserContext, Page } from 'playwright-core';
import { complaintsOf, type LabBrowser, openBrowser } from '../../lab/browser.ts';
import { Lab } from '../../lab/lab.ts';
import { startDrops, startLoads } from '../../lab/load.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const ADDRESS = 'http://127.0.0.1:8475/';
const HOSTILE = '<img src=x onerror="globalThis.owned=1"><script>globalThis.owned=1</script>';

describe('netns: web page in Chromium', () => {
  let lab: Lab;
  let opened: LabBrowser;
  let context: BrowserContext;
  let page: Page;
  let complaints: string[];
  const text = async (selector: string): Promise<string> =>
    (await page.locator(selector).textContent()) ?? '';
  const node = (): WeftNode => lab.weftNodes[0] as WeftNode;
  const sent = (): Promise<string> => text('#chart-bits .key:has-text("sent") .value');

  before(async () => {
    const weft = { kind: 'weft' } as const;
    const flags = ['--admin-listen=8475'];
    lab = await Lab.build({ nodes: [weft, weft, { kind: 'kernel' }], flags });
    await startLoads(lab, [
      { from: 0, to: 1, rate: '8M' },
      { from: 2, to: 0, rate: '2M' },
    ]);
    startDrops(lab, 0);
    opened = await openBrowser(node().namespace);
    context = await opened.browser.newContext({ viewport: { width: 1360, height: 1000 } });
    page = await context.newPage();
    complaints = complaintsOf(page);
    await page.goto(ADDRESS);
  });
  after(async () => {
    await opened?.close();
    await lab?.close();
  });

  it('says who the node is and that it is well', async () => {
    await until('verdict', async () => (await text('#verdict')) === 'healthy');
    assert.equal(await text('#node-name'), '10.99.0.1');
    assert.match(await page.title(), /^10\.99\.0\.1 · weft$/);
    const tiles = await text('#glance');
    const subnet = (await text('.self .name')).trim();
    for (const part of [subnet, 'connected', '1 of 1 running', '2 peers', '1450', 'in place'])
      assert.ok(tiles.includes(part), `${part} in ${tiles}`);
  });

  it('shows every peer, in the drawing and in the table', async () => {
    const peers = page.locator('.peer');
    await until('two peers', async () => (await peers.count()) === 2);
    assert.equal(await page.locator('#peers tbody tr').count(), 2);
    for (const other of lab.nodes.slice(1))
      assert.ok((await text('#peers')).includes(other.underlay.address4), other.name);
    await peers.first().hover();
    await until('a tip', () => page.locator('#tip').isVisible());
    assert.match(await text('#tip'), /10\.244\..*10\.99\.0\./);
  });

  it('throughput, packets and drops are shown and go on', async () => {
    await until('Mbit/s', async () => /Mbit\/s/.test(await sent()));
    assert.match((await page.locator('#chart-bits svg').getAttribute('aria-label')) ?? '', /sent/);
    const curve = page.locator('#chart-packets .curve[data-tone=received]').last();
    const drawn = await curve.getAttribute('d');
    await until('another curve', async () => (await curve.getAttribute('d')) !== drawn);
    const drops = (): Promise<string> => text('#drops');
    await until('drops', async () => /no node leases the destination/.test(await drops()));
    assert.match(await drops(), /the address lies in no subnet/);
    const counted = await drops();
    await until('more drops', async () => (await drops()) !== counted);
  });

  it('a store that is away is a warning with advice; it goes when the store is back', async () => {
    renameSync(lab.storeDir, `${lab.storeDir}.away`);
    await until(
      'warning',
      async () => /store has not answered/i.test(await text('#warnings')),
      90_000,
    );
    assert.match(await text('#warnings'), /store has not answered[\s\S]*What to do/i);
    assert.equal(await text('#verdict'), 'forwarding, 1 warning');
    assert.match(await text('#glance'), /Storeaway/);
    renameSync(`${lab.storeDir}.away`, lab.storeDir);
    await until(
      'no warning',
      async () => !/store has not answered/i.test(await text('#warnings')),
      90_000,
    );
    await until('verdict', async () => (await text('#verdict')) === 'healthy');
  });

  it('without a mouse: names, headings, focus and Escape', async () => {
    const headings = await page.getByRole('heading').allInnerTexts();
    for (const name of ['Topology', 'Peers', 'Drops by reason'])
      assert.ok(headings.includes(name), name);
    assert.equal(await page.getByRole('main').count(), 1);
    assert.equal((await page.getByRole('status').count()) > 0, true);
    await page.mouse.move(0, 0);
    await page.locator('body').press('Tab');
    assert.equal(await page.evaluate('document.activeElement.className'), 'skip');
    await page.keyboard.press('Tab');
    assert.match(
      (await page.locator(':focus').getAttribute('aria-label')) ?? '',
      /^10\.244\..* at 10\.99\.0\./,
    );
    await until('tip of the focus', () => page.locator('#tip').isVisible());
    await page.keyboard.press('Escape');
    await until('no tip', () => page.locator('#tip').isHidden());
  });

  it('nothing was complained about', () => assert.deepEqual(complaints, []));

  it('a stub of pages with markup in every text gets no element in', async () => {
    const stubbed = await context.newPage();
    for (const name of ['status', 'peers', 'history', 'reasons']) {
      const real = await page.evaluate(`fetch('/api/${name}').then((answer) => answer.json())`);
      await stubbed.route(`**/api/${name}`, (route) => route.fulfill({ json: poison(real) }));
    }
    await stubbed.goto(ADDRESS);
    await stubbed.waitForSelector('#warnings li');
    await stubbed.waitForSelector('#drops li');
    await stubbed.waitForSelector('.peer');
    assert.match((await stubbed.locator('#warnings').textContent()) ?? '', /<img src=x/);
    assert.equal(await stubbed.locator('img, main script').count(), 0);
    assert.equal(await stubbed.evaluate('globalThis.owned'), undefined);
    await stubbed.close();
  });

  it('a stub of many peers becomes a grid', async () => {
    const stubbed = await context.newPage();
    const peers = Array.from({ length: 300 }, (_, i) => ({
      key: `10.${i >> 8}.${i & 255}.0-24`,
      family: 4,
      subnet: `10.${i >> 8}.${i & 255}.0/24`,
      publicIp: `192.0.2.${i & 255}`,
      lastHeardAt: null,
      reach: i % 50 === 0 ? 'lost' : 'ok',
      rttMs: i % 50 === 0 ? null : 0.4,
      lossRatio: i % 50 === 0 ? 1 : 0,
    }));
    await stubbed.route('**/api/peers', (route) => route.fulfill({ json: { peers } }));
    await stubbed.goto(ADDRESS);
    await until('grid', async () => (await stubbed.locator('.grid li').count()) === 300);
    assert.equal(await stubbed.locator('.grid [data-state=lost]').count(), 6);
    assert.match((await stubbed.locator('#topology-note').textContent()) ?? '', /294 of 300/);
    assert.equal(await stubbed.locator('.ring').isVisible(), false);
    await stubbed.close();
  });

  it('a daemon that is killed is missed; one that comes back is shown', async () => {
    const before = await text('#node-about');
    await node().kill();
    await until('away', async () => (await text('#verdict')) === 'daemon does not answer');
    assert.match(await text('#away'), /does not answer since \d\d:\d\d:\d\d/);
    await node().start();
    await until('back', () => page.locator('#away').isHidden());
    await until('throughput again', async () => /[kM]bit\/s/.test(await sent()));
    assert.notEqual(await text('#node-about'), before);
  });
});

/** The same answer with markup in every text that is no time, and a warning. */
function poison(value: unknown, key = ''): unknown {
  if (typeof value === 'string') return /At$|since/.test(key) ? value : `${HOSTILE}${value}`;
  if (Array.isArray(value) && key === 'health')
    return [
      poison({ code: 'c', severity: 's', title: 't', text: 'x', advice: 'a', since: 'never' }),
    ];
  if (Array.isArray(value)) return value.map((one) => poison(one));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, poison(one, name)]));
}
