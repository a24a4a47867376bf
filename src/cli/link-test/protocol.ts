/**
 * What two `weft bench` programs say to each other. Every TCP connection begins with three lines of JSON:
 *   server: {"weft":"bench","version":1,"nonce":…}
 *   client: {"op":…,"proof":…}      proof = HMAC-SHA256(token, nonce): the token itself never crosses the wire
 *   server: {"ok":true,…} or {"error":…}
 * Then: session: stays open, holds the one test · upload: bytes, then {"bytes":…,"ms":…} · download: bytes ·
 * echo: UDP as long as the connection is open · mtu: nothing more.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import * as z from 'zod';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { printableData, SAID_CHARACTERS_MAX } from '../../shared/printable.ts';

export const BENCH_PORT = 8473;
export const PROTOCOL_VERSION = 1;
export const LINE_BYTES_MAX = 1024;
export const SECONDS_MAX = 30;
/** Every UDP datagram begins with the key that the server gave for it. */
export const ECHO_KEY_BYTES = 16;
export const DATAGRAM_BYTES_MAX = 2048;

const KEY = z.string().regex(/^[0-9a-f]{32}$/);
const seconds = z.number().positive().max(SECONDS_MAX);
const proof = z.string().regex(/^[0-9a-f]{64}$/);

const greetingShape = z.object({
  weft: z.literal('bench'),
  version: z.number().int(),
  nonce: KEY,
});
const requestShape = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('session'), proof }),
  z.strictObject({ op: z.literal('upload'), proof, session: KEY, seconds }),
  z.strictObject({ op: z.literal('download'), proof, session: KEY, seconds }),
  z.strictObject({ op: z.literal('echo'), proof, session: KEY }),
  z.strictObject({ op: z.literal('mtu'), proof, session: KEY }),
]);
const refusalShape = z.object({ error: z.string().max(LINE_BYTES_MAX) });

/** What may follow the request, by operation. */
export const ANSWERS = {
  session: z.object({ ok: z.literal(true), session: KEY }),
  upload: z.object({ ok: z.literal(true) }),
  download: z.object({ ok: z.literal(true) }),
  echo: z.object({ ok: z.literal(true), key: KEY }),
  mtu: z.object({
    ok: z.literal(true),
    result: z.union([
      z.strictObject({ payloadBytes: z.number().int().min(0).max(65_535) }),
      z.strictObject({ why: z.string().max(LINE_BYTES_MAX) }),
    ]),
  }),
} as const;
export const uploadResultShape = z.object({
  bytes: z.number().int().nonnegative(),
  ms: z.number().positive(),
});

export type Request = z.infer<typeof requestShape>;
export type Op = Request['op'];
export type Answer<O extends Op> = z.infer<(typeof ANSWERS)[O]>;

/** The other end said something that can't be used, or refused. */
export class BenchError extends WeftError {
  constructor(message: string, cause?: unknown) {
    super('ERR_BENCH', EXIT.failure, message, cause);
    this.name = 'BenchError';
  }
}

export function proofOf(token: string, nonce: string): string {
  return createHmac('sha256', token).update(nonce).digest('hex');
}

/** Compares in constant time. */
export function isProof(given: string, token: string, nonce: string): boolean {
  const wanted = Buffer.from(proofOf(token, nonce));
  const bytes = Buffer.from(given);
  return bytes.length === wanted.length && timingSafeEqual(bytes, wanted);
}

/** Throws BenchError when the line is not a request. */
export function parseRequest(line: string): Request {
  return parseLine(line, requestShape, 'not a request of weft bench');
}

/** The server's nonce; throws BenchError when a different program or version talks. */
export function parseGreeting(line: string): string {
  const greeting = parseLine(line, greetingShape, 'something else than weft bench answers there');
  if (greeting.version === PROTOCOL_VERSION) return greeting.nonce;
  throw new BenchError(
    `the far end speaks version ${greeting.version} of the bench protocol, this one ${PROTOCOL_VERSION}: use the same weft on both nodes`,
  );
}

/** Throws BenchError with the far end's own words when it refuses. Its words are shown on a terminal, so they are printable here. */
export function parseAnswer<O extends Op>(op: O, line: string): Answer<O> {
  const what = `an answer to ${op} that this weft does not understand`;
  const answer = parseLine(line, z.union([refusalShape, ANSWERS[op]]), what);
  const shown = printableData(answer, SAID_CHARACTERS_MAX);
  if ('error' in shown) throw new BenchError(`the far end refuses: ${shown.error}`);
  return shown as Answer<O>;
}

export function parseLine<T>(line: string, shape: z.ZodType<T>, otherwise: string): T {
  try {
    return shape.parse(JSON.parse(line));
  } catch (error) {
    throw new BenchError(otherwise, messageOf(error));
  }
}
