/** The web page's listener (--admin-listen): one page, its files, and a few of the admin socket's pages as JSON. Only reads. */
import type http from 'node:http';
import { SCHEMA_VERSION } from '../../../api/version.ts';
import { DROP_REASONS } from '../../../memory/drops.ts';
import type { ListenAddress } from '../../../options/admin-listen.ts';
import { messageOf } from '../../../shared/errors.ts';
import { printable, printableData } from '../../../shared/printable.ts';
import { Flow, type Pages, Text } from '../admin.ts';
import { type Limits, listen, type Refused } from '../listen.ts';
import { type Asset, loadAssets } from './assets.ts';
import { refusalOf } from './guard.ts';

/** Pages of the admin socket that are served, and the parameter that each may get. What acts or tells packets stays there. */
const SERVED: Readonly<Record<string, string | undefined>> = {
  status: undefined,
  peers: undefined,
  history: undefined,
  drops: 'since',
  reach: undefined,
};

const LIMITS: Limits = {
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 5_000,
  headerBytesMax: 8_192,
  connectionsMax: 32,
  silenceMsMax: 30_000,
};

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const HEADERS = {
  'content-security-policy': POLICY,
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
};

interface Answer extends Asset {
  status: number;
}

/** Listens; throws WeftError ERR_ADMIN_LISTEN. End it with close and closeAllConnections: browsers keep theirs open. */
export async function startWeb(
  { address, port }: ListenAddress,
  pages: Pages,
): Promise<http.Server> {
  const assets = loadAssets();
  const refused: Refused = {
    code: 'ERR_ADMIN_LISTEN',
    message: (why) => `--admin-listen ${address} port ${port}: ${why}; choose another port`,
  };
  return listen({ host: address, port }, LIMITS, refused, (request, response) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const local = request.socket.localPort ?? port;
    void answer(request, local, assets, pages, gone.signal).then((found) =>
      send(request, response, found),
    );
  });
}

async function answer(
  request: http.IncomingMessage,
  port: number,
  assets: ReadonlyMap<string, Asset>,
  pages: Pages,
  signal: AbortSignal,
): Promise<Answer> {
  const refused = refusalOf(request.method, request.headers, port);
  if (refused) return json(refused.status, { error: refused.message });
  try {
    const url = new URL(request.url ?? '/', 'http://weft');
    const asset = assets.get(url.pathname);
    if (asset) return { status: 200, ...asset };
    return await apiAnswer(url, pages, signal);
  } catch (error) {
    return json(400, { error: messageOf(error) });
  }
}

async function apiAnswer(url: URL, pages: Pages, signal: AbortSignal): Promise<Answer> {
  const name = url.pathname.startsWith('/api/') ? url.pathname.slice('/api/'.length) : '';
  if (name === 'reasons') return json(200, { reasons: DROP_REASONS });
  const page = Object.hasOwn(SERVED, name) ? pages[`/${name}`] : undefined;
  if (!page) return json(404, { error: `no page ${printable(url.pathname)}` });
  const allowed = SERVED[name];
  const query = new URLSearchParams();
  const value = allowed === undefined ? null : url.searchParams.get(allowed);
  if (allowed !== undefined && value !== null) query.set(allowed, value);
  const body = await page(query, signal);
  return body instanceof Flow || body instanceof Text
    ? json(404, { error: 'not a page' })
    : json(200, body);
}

function json(status: number, body: Readonly<Record<string, unknown>>): Answer {
  const text = JSON.stringify(printableData({ schemaVersion: SCHEMA_VERSION, ...body }));
  return { status, type: 'application/json', body: Buffer.from(text) };
}

function send(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  { status, type, body }: Answer,
): void {
  const allow = status === 405 ? { allow: 'GET, HEAD' } : {};
  // A refused request's body is not read: the connection ends instead.
  const connection = status === 200 ? {} : { connection: 'close' };
  response.writeHead(status, {
    ...HEADERS,
    'content-type': type,
    'content-length': body.length,
    ...allow,
    ...connection,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}
