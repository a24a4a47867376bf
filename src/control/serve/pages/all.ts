/** Every page of the admin socket. Their schema is a promise to scripts: docs/reference/json.md. */

import type { Node } from '../../node.ts';
import type { SelfWatch } from '../../observe/self-watch.ts';
import type { WorkerFault } from '../../plane/supervisor.ts';
import type { Pages } from '../admin.ts';
import { capturePage, captureStopPage, captureSummaryPage } from './capture.ts';
import { configPage } from './config.ts';
import { dropsPage } from './drops.ts';
import { peersPage } from './peers.ts';
import { pingPage } from './ping.ts';
import { reachPage } from './reach.ts';
import { routesPage } from './routes.ts';
import { statusPage } from './status.ts';

/** `fail` makes a worker fail, for tests: its page is there only where it is given. */
export function pagesOf(
  node: Node,
  watch: SelfWatch,
  fail?: (worker: number, fault: WorkerFault) => void,
): Pages {
  const pages: Pages = {
    '/status': () => statusPage(node, watch),
    '/peers': () => peersPage(node),
    '/history': () => watch.history.page(),
    '/routes': (query) => routesPage(node, query.get('address') ?? ''),
    '/config': () => configPage(node),
    '/drops': (query) => dropsPage(node, query),
    '/capture': (query, gone) => capturePage(node, query, gone),
    '/capture/stop': () => captureStopPage(node),
    '/capture/summary': () => captureSummaryPage(node),
    '/ping': (query) => pingPage(node, query),
    '/reach': () => reachPage(node),
  };
  if (fail) {
    pages['/fault'] = (query) => {
      const fault = query.get('fault') === 'hang' ? 'hang' : 'fail';
      fail(Number(query.get('worker')), fault);
      return { failed: query.get('worker') };
    };
  }
  return pages;
}
