/** What the daemon's HTTP servers have in common: they listen or say why not, and no client holds them up. */
import http from 'node:http';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';

/** A unix socket, or an address and a port. */
export type Place = { path: string } | { host: string; port: number };

export interface Limits {
  /** how long the headers, and the whole request, may take */
  headersTimeoutMs: number;
  requestTimeoutMs: number;
  headerBytesMax: number;
  /** what comes beyond is closed at once */
  connectionsMax: number;
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
  const server = http.createServer({ maxHeaderSize: limits.headerBytesMax }, onRequest);
  server.headersTimeout = limits.headersTimeoutMs;
  server.requestTimeout = limits.requestTimeoutMs;
  server.maxConnections = limits.connectionsMax;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(new WeftError(refused.code, EXIT.os, refused.message(messageOf(error)), error));
    });
    server.listen(place, resolve);
  });
  return server;
}
