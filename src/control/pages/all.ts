/** Every page of the admin socket. Their schema is a promise to scripts: docs/reference/json.md. */
import type { Pages } from '../admin.ts';
import type { Daemon } from '../daemon.ts';
import { peersPage } from './peers.ts';
import { pingPage } from './ping.ts';
import { reachPage } from './reach.ts';
import { statusPage } from './status.ts';

export function pagesOf(daemon: Daemon): Pages {
  const pages: Pages = {
    '/status': () => statusPage(daemon),
    '/peers': () => peersPage(daemon),
    '/ping': (query) => pingPage(daemon, query),
    '/reach': () => reachPage(daemon),
  };
  if (process.env['WEFT_FAULTS'] === '1') {
    pages['/fault'] = (query) => {
      daemon.backend?.failWorker(Number(query.get('worker')));
      return { failed: query.get('worker') };
    };
  }
  return pages;
}
