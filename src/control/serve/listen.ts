/**
 * What the daemon's HTTP servers have in common: they listen or say why not, and no client holds them up, neither by connections that
 * ask nothing, nor byte by byte, nor by asking again and again before it reads.
 */
import http from 'node:http';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { type Room, Visitors } from './visitors.ts';

/** Node looks this often for clients that are too slow; its own 30 s would make every limit below half a minute longer. */
const CHECK_MS = 500;

/** A unix socket, or an address and a port. */
export type Place = { path: string } | { host: string; port: number };

export interface Limits extends Room {
  /** how long the headers, and the whole request, may take */
  headersTimeoutMs: number;
  requestTimeoutMs: number;
  headerBytesMax: number;
  /** how long a connection may lie still while it is answered; absent where answers wait for events */
  silenceMsMax?: number;
}

/** What it means that nobody can listen there: the error's code, and its message from why. */
export interface Refused {
  code: string;
  message: (why: string) => string;
}

/** Resolves when the server listens. Throws WeftError (exit 71) as `refused` says. */
export async function listen(
  place: Place,
  limits: Limits,
  refused: Refused,
  onRequest: http.RequestListener,
): Promise<http.Server> {
  const visitors = new Visitors(limits);
  const server = http.createServer(
    {
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.headersTimeoutMs,
      connectionsCheckingInterval: CHECK_MS,
    },
    (request, response) => {
      const { socket } = request;
      // Requests that come before the last answer is out are no browser's and no probe's.
      if (!visitors.begin(socket, response)) return void socket.destroy();
      response.once('close', () => visitors.end(socket));
      // Nobody reads a body: the connection ends with the answer instead.
      if (hasBody(request)) response.setHeader('connection', 'close');
      onRequest(request, response);
    },
  );
  server.setTimeout(limits.silenceMsMax ?? 0);
  server.on('connection', (socket) => void visitors.admit(socket));
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(new WeftError(refused.code, EXIT.os, refused.message(messageOf(error)), error));
    });
    server.listen(place, resolve);
  });
  return server;
}

function hasBody({ headers }: http.IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
