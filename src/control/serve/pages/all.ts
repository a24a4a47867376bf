/** Every page of the admin socket. Their schema is a promise to scripts: docs/reference/json.md. */

import type { Daemon } from '../../daemon.ts';
import type { Pages } from '../admin.ts';
import { capturePage, captureStopPage, captureSummaryPage } from './capture.ts';
import { configPage } from './config.ts';
import { dropsPage } from './drops.ts';
import { peersPage } from './peers.ts';
import { pingPage } from './ping.ts';
import { reachPage } from './reach.ts';
import { routesPage } from './routes.ts';
import { statusPage } from './status.ts';

export function pagesOf(daemon: Daemon): Pages {
  const pages: Pages = {
    '/status': () => statusPage(daemon),
    '/peers': () => peersPage(daemon),
    '/history': () => daemon.watch.history.page(),
    '/routes': (query) => routesPage(daemon, query.get('address') ?? ''),
    '/config': () => configPage(daemon),
    '/drops': (query) => dropsPage(daemon, query),
    '/capture': (query, gone) => capturePage(daemon, query, gone),
    '/capture/stop': () => captureStopPage(daemon),
    '/capture/summary': () => captureSummaryPage(daemon),
    '/ping': (query) => pingPage(daemon, query),
    '/reach': () => reachPage(daemon),
  };
  if (process.env['WEFT_FAULTS'] === '1') {
    pages['/fault'] = (query) => {
      const fault = query.get('fault') === 'hang' ? 'hang' : 'fail';
      daemon.backend?.failWorker(Number(query.get('worker')), fault);
      return { failed: query.get('worker') };
    };
  }
  return pages;
}
