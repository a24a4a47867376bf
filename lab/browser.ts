/** Debian's Chromium, headless, inside a lab's network namespace: the web page listens on that namespace's loopback only. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { Namespace } from './namespace.ts';

/** Everything but the page itself stays quiet. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-default-apps',
  '--hide-scrollbars',
  '--force-color-profile=srgb',
];

export interface LabBrowser {
  browser: Browser;
  close(): Promise<void>;
}

/** Starts a browser with a profile of its own; the caller closes it before the lab. */
export async function openBrowser(namespace: Namespace): Promise<LabBrowser> {
  const profile = mkdtempSync(path.join(os.tmpdir(), 'weft-chromium-'));
  const browser = await chromium.launch({
    // "ip" replaces itself by the browser, which inherits playwright's pipe and answers to its signals.
    executablePath: '/usr/sbin/ip',
    ignoreDefaultArgs: true,
    args: [
      ...['netns', 'exec', namespace.name, 'chromium', ...FLAGS],
      `--user-data-dir=${profile}`,
      '--remote-debugging-pipe',
    ],
  });
  return {
    browser,
    async close() {
      await browser.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

/** What a page must never say: errors on its console, uncaught exceptions, refused or failed requests. */
export function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  return complaints;
}
