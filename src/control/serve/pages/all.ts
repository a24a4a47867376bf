/** Every page of the admin socket, as api/pages.ts lists them. Their shapes are a promise to scripts: docs/reference/json.md. */
import type { AnswerOf, PagePath } from '../../../api/pages.ts';
import type { Node } from '../../node.ts';
import type { SelfWatch } from '../../observe/self-watch.ts';
import type { WorkerFault } from '../../plane/supervisor.ts';
import type { Body, Flow, Page, Pages, Text } from '../admin.ts';
import { capturePage, captureStopPage, captureSummaryPage } from './capture.ts';
import { configPage } from './config.ts';
import { dropsPage } from './drops.ts';
import { kubernetesPage } from './kubernetes.ts';
import { openApiPage } from './openapi.ts';
import { peersPage } from './peers.ts';
import { pingPage } from './ping.ts';
import { reachPage } from './reach.ts';
import { routesPage } from './routes.ts';
import { statusPage } from './status.ts';

/** What is no JSON object of ours in the table is a Flow or a Text here. */
type Promised<Answer> = Answer extends Body ? Page<Answer> : Page<Flow | Text>;
type PromisedPages = { readonly [Path in PagePath]: Promised<AnswerOf<Path>> };

/** `fail` makes a worker fail, for tests: its page is there only where it is given. */
export function pagesOf(
  node: Node,
  watch: SelfWatch,
  fail?: (worker: number, fault: WorkerFault) => void,
): Pages {
  const pages = {
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
    '/kubernetes': () => kubernetesPage(node),
    '/openapi.json': () => openApiPage(),
  } satisfies PromisedPages;
  return fail ? { ...pages, '/fault': faultPage(fail) } : pages;
}

/** Not promised: for tests only. */
function faultPage(fail: (worker: number, fault: WorkerFault) => void): Page {
  return (query) => {
    fail(Number(query.get('worker')), query.get('fault') === 'hang' ? 'hang' : 'fail');
    return { failed: query.get('worker') };
  };
}
