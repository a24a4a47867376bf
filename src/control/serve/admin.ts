/** The admin socket: HTTP GET over a unix socket, JSON with schemaVersion. `bin/weft` is its client. */
import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { isAnswering } from '../../shared/socket.ts';

export const SCHEMA_VERSION = 1;
/** An object is answered as JSON. A page that throws is answered with status 400 and its message. */
export type Page = (query: URLSearchParams, signal: AbortSignal) => object | Promise<object>;
/** By path. `signal` of a page is aborted when the client goes away. */
export type Pages = Record<string, Page>;

/** What a page answers when it is no JSON but goes on until the client leaves or the source ends. */
export class Flow {
  readonly contentType: string;
  readonly chunks: AsyncIterable<Uint8Array>;

  constructor(contentType: string, chunks: AsyncIterable<Uint8Array>) {
    this.contentType = contentType;
    this.chunks = chunks;
  }
}

/** Listens on the socket; throws WeftError ERR_ADMIN_SOCKET when another daemon answers there. */
export async function startAdmin(socket: string, pages: Readonly<Pages>): Promise<http.Server> {
  const server = http.createServer({ maxHeaderSize: 4096 }, (request, response) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    void answer(request, pages, gone.signal).then((found) => send(response, found));
  });
  server.headersTimeout = 5_000;
  server.requestTimeout = 5_000;
  server.maxConnections = 32;
  await mkdir(path.dirname(socket), { recursive: true, mode: 0o755 });
  await removeStaleSocket(socket);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new WeftError(
          'ERR_ADMIN_SOCKET',
          EXIT.os,
          `admin socket ${socket}: ${messageOf(error)}`,
          error,
        ),
      );
    });
    server.listen(socket, resolve);
  });
  await chmod(socket, 0o660);
  return server;
}

interface Answer {
  status: number;
  body: object;
}

async function answer(
  request: http.IncomingMessage,
  pages: Readonly<Pages>,
  signal: AbortSignal,
): Promise<Answer> {
  if (request.method !== 'GET') return { status: 405, body: { error: 'only GET is allowed' } };
  try {
    const url = new URL(request.url ?? '/', 'http://weft');
    const page = Object.hasOwn(pages, url.pathname) ? pages[url.pathname] : undefined;
    if (page) return { status: 200, body: await page(url.searchParams, signal) };
    const error = `no page ${url.pathname}`;
    return { status: 404, body: { error, pages: Object.keys(pages) } };
  } catch (error) {
    return { status: 400, body: { error: messageOf(error) } };
  }
}

function send(response: http.ServerResponse, { status, body }: Answer): void {
  if (body instanceof Flow) return void sendFlow(response, body);
  const allow = status === 405 ? { allow: 'GET' } : {};
  const type = { 'content-type': 'application/json', connection: 'close' };
  response.writeHead(status, { ...type, ...allow });
  response.end(`${JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...body })}\n`);
}

/** A source that fails cuts the answer short: the client sees that it is not whole. */
async function sendFlow(response: http.ServerResponse, flow: Flow): Promise<void> {
  response.writeHead(200, { 'content-type': flow.contentType, connection: 'close' });
  response.flushHeaders();
  await pipeline(Readable.from(flow.chunks, { objectMode: false }), response).catch(() => {
    response.destroy();
  });
}

/** Removes what a killed daemon left; refuses to touch anything but a socket on which nobody listens. */
async function removeStaleSocket(socket: string): Promise<void> {
  const found = await lstat(socket).catch(() => undefined);
  if (!found) return;
  if (found.isSocket() && !(await isAnswering(socket))) return unlink(socket);
  const what = found.isSocket() ? 'another weftd answers there; stop it' : 'a file is in the way';
  throw new WeftError(
    'ERR_ADMIN_SOCKET',
    EXIT.os,
    `admin socket ${socket}: ${what}, or choose another --admin-socket`,
  );
}
