/** The admin socket: HTTP GET over a unix socket, JSON with schemaVersion. `bin/weft` is its client. */
import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { EXIT, messageOf, WeftError } from '../shared/errors.ts';

export const SCHEMA_VERSION = 1;
export type Pages = Readonly<Record<string, (query: URLSearchParams) => unknown>>;

/** Listens on the socket; throws WeftError ERR_ADMIN_SOCKET when another daemon answers there. */
export async function startAdmin(socket: string, pages: Pages): Promise<http.Server> {
  const server = http.createServer({ maxHeaderSize: 4096 }, (request, response) => {
    const [status, body] = answer(request, pages);
    const allow = status === 405 ? { allow: 'GET' } : {};
    response.writeHead(status, {
      'content-type': 'application/json',
      connection: 'close',
      ...allow,
    });
    response.end(`${JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...body })}\n`);
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

function answer(request: http.IncomingMessage, pages: Pages): [number, object] {
  if (request.method !== 'GET') return [405, { error: 'only GET is allowed' }];
  try {
    const url = new URL(request.url ?? '/', 'http://weft');
    const page = Object.hasOwn(pages, url.pathname) ? pages[url.pathname] : undefined;
    if (!page) return [404, { error: `no page ${url.pathname}`, pages: Object.keys(pages) }];
    return [200, page(url.searchParams) as object];
  } catch (error) {
    return [400, { error: messageOf(error) }];
  }
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

/** Whether a daemon listens at a socket that exists: only a refused connection proves the contrary, a busy one gives other errors. */
export function isAnswering(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = net.connect(socket);
    const done = (answer: boolean): void => {
      connection.destroy();
      resolve(answer);
    };
    connection.once('connect', () => done(true));
    connection.once('error', (error: NodeJS.ErrnoException) => done(error.code !== 'ECONNREFUSED'));
  });
}
