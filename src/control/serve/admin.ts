/** The admin socket: HTTP GET over a unix socket, JSON with schemaVersion. `bin/weft` is its client. */
import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import type http from 'node:http';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ErrorAnswer } from '../../api/error.ts';
import { SCHEMA_VERSION } from '../../api/version.ts';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { printable, printableJson } from '../../shared/printable.ts';
import { isAnswering } from '../../shared/socket.ts';
import { type Limits, listen, type Refused } from './listen.ts';

const LIMITS: Limits = {
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 5_000,
  headerBytesMax: 4_096,
  connectionsMax: 32,
};

/** A JSON object, which gets `schemaVersion`, or something else. */
export type Body = Readonly<Record<string, unknown>> | Flow | Text;
/** Answers a query. One that throws is answered with status 400 and its message; `signal` is aborted when the client goes away. */
export type Page<Answer extends Body = Body> = (
  query: URLSearchParams,
  signal: AbortSignal,
) => Answer | Promise<Answer>;
/** By path. Which ones there are, and what they answer: pages/all.ts. */
export type Pages = Readonly<Record<string, Page>>;

/** A whole answer that is not ours to add to. */
export class Text {
  readonly contentType: string;
  readonly text: string;

  constructor(contentType: string, text: string) {
    this.contentType = contentType;
    this.text = text;
  }
}

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
export async function startAdmin(socket: string, pages: Pages): Promise<http.Server> {
  await mkdir(path.dirname(socket), { recursive: true, mode: 0o755 });
  await removeStaleSocket(socket);
  const refused: Refused = {
    code: 'ERR_ADMIN_SOCKET',
    message: (why) => `admin socket ${socket}: ${why}`,
  };
  const server = await listen({ path: socket }, LIMITS, refused, (request, response) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    void answer(request, pages, gone.signal).then((found) => send(response, found));
  });
  await chmod(socket, 0o660);
  return server;
}

interface Answer {
  status: number;
  body: Body;
}

async function answer(
  request: http.IncomingMessage,
  pages: Pages,
  signal: AbortSignal,
): Promise<Answer> {
  if (request.method !== 'GET') return refusal(405, { error: 'only GET is allowed' });
  try {
    const url = new URL(request.url ?? '/', 'http://weft');
    const page = Object.hasOwn(pages, url.pathname) ? pages[url.pathname] : undefined;
    if (page) return { status: 200, body: await page(url.searchParams, signal) };
    const error = `no page ${printable(url.pathname)}`;
    return refusal(404, { error, pages: Object.keys(pages) });
  } catch (error) {
    return refusal(400, { error: messageOf(error) });
  }
}

function refusal(status: 400 | 404 | 405, body: ErrorAnswer): Answer {
  return { status, body };
}

function send(response: http.ServerResponse, { status, body }: Answer): void {
  if (body instanceof Flow) return void sendFlow(response, body);
  const allow = status === 405 ? { allow: 'GET' } : {};
  const { contentType, text } = body instanceof Text ? body : jsonText(body);
  response.writeHead(status, { 'content-type': contentType, connection: 'close', ...allow });
  response.end(text);
}

function jsonText(body: Exclude<Body, Flow | Text>): Text {
  const text = printableJson({ schemaVersion: SCHEMA_VERSION, ...body });
  return new Text('application/json', `${text}\n`);
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
