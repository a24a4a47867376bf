/**
 * The API server of Kubernetes over node:https. Each call is bounded in time and in the size of its answer, is made once, and throws a
 * KubernetesError that says what failed, where, and what to do; who calls tries again. Nothing secret is in any text.
 */
import http from 'node:http';
import https from 'node:https';
import { type Clock, systemClock } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Access } from './access.ts';
import { CallEnd } from './call-end.ts';
import { Credentials, type Identity } from './credentials.ts';
import { KubernetesError, kindOf, said } from './failure.ts';
import type { StatusObject } from './object.ts';

/** From the call to the last byte of the answer; of a stream to its head. */
const CALL_MS = 10_000;
/** One object, or a page of a list (list.ts): some hundred kB are usual. */
const ANSWER_BYTES_MAX = 8 << 20;
/** Of an answer that is no success. */
const REFUSAL_BYTES_MAX = 64 << 10;
/** A server that starts refuses everybody until it has read its rules. */
const REFUSED_AT_START_MS = 10_000;
const RETRY_AFTER_MS_MAX = 30_000;
/** Of that, what a call waits by itself. */
const QUIET_WAIT_MS_MAX = 3_000;
/** Rights that are refused, as far as they are remembered. */
const REFUSALS_MAX = 100;
/** Connections that wait for the next call. */
const IDLE_MAX = 2;

export const MERGE_PATCH = 'application/strategic-merge-patch+json';
const JSON_TYPE = 'application/json';

export interface CallOptions {
  /** of `body`; default application/json */
  type?: string;
  /** sent as JSON */
  body?: unknown;
  /** ends the call with the signal's reason */
  signal?: AbortSignal | undefined;
}

/** An answer was larger than we take. */
export class TooLarge extends KubernetesError {}

class LargeBody extends Error {}

export class KubernetesClient {
  /** Where it is, for people: "kubernetes https://10.0.0.1:6443". */
  readonly name: string;
  private readonly server: URL;
  private readonly credentials: Credentials;
  private readonly clock: Clock;
  private agent: http.Agent | undefined;
  private agentTls: Identity['tls'] | undefined;
  private readonly open = new Set<http.ClientRequest>();
  private isClosed = false;
  /** The server wants to be left alone until then, by the monotonic clock. */
  private quietUntilMs = 0;
  /** What the server forbids, and since when, by the monotonic clock. */
  private readonly refusals = new Map<string, number>();

  constructor(access: Access, clock: Clock = systemClock) {
    this.server = access.server;
    this.name = `kubernetes ${access.server.origin}${access.server.pathname.replace(/\/$/, '')}`;
    this.credentials = new Credentials(access.credentials, clock);
    this.clock = clock;
  }

  /** One object. `path` begins with /api or /apis, with names that {@link encodeURIComponent} went over. */
  get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.call('GET', path, { signal });
  }

  /** Strategic merge patch; of the status with a path that ends in /status. Resolves with the object as it is then. */
  patch<T>(path: string, patch: object): Promise<T> {
    return this.call('PATCH', path, { body: patch, type: MERGE_PATCH });
  }

  /** Makes an object. A call that failed may have made it. */
  post<T>(path: string, object: object): Promise<T> {
    return this.call('POST', path, { body: object });
  }

  /** Any call whose answer is one JSON value. */
  async call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    const end = new CallEnd(this.clock, CALL_MS, options.signal);
    try {
      const response = await this.request(method, path, { ...options, signal: end.signal });
      return JSON.parse(await readBody(response, ANSWER_BYTES_MAX)) as T;
    } catch (error) {
      options.signal?.throwIfAborted();
      throw this.explain(method, path, end.isLate ? noAnswer() : error);
    } finally {
      end.release();
    }
  }

  /** An answer that goes on until the signal aborts or the server ends it: its head has come, and was a success. */
  async stream(path: string, signal: AbortSignal): Promise<http.IncomingMessage> {
    const end = new CallEnd(this.clock, CALL_MS, signal);
    try {
      const response = await this.request('GET', path, { signal: end.signal });
      end.lift();
      response.once('close', () => end.release());
      return response;
    } catch (error) {
      end.release();
      signal.throwIfAborted();
      throw this.explain('GET', path, end.isLate ? noAnswer() : error);
    }
  }

  /** What was forbidden (403) when it was asked for last: method, or "watch", and path. */
  get forbidden(): string[] {
    return [...this.refusals.keys()];
  }

  /** Ends all calls and connections. */
  close(): void {
    this.isClosed = true;
    for (const request of this.open) request.destroy();
    this.agent?.destroy();
  }

  /** Resolves with a success; one that the server does not know us for is tried again if that may have changed. */
  private async request(
    method: string,
    path: string,
    options: CallOptions & { signal: AbortSignal },
  ): Promise<http.IncomingMessage> {
    await this.keepQuiet(options.signal);
    const identity = await this.credentials.current();
    let response = await this.send(method, path, options, identity);
    if (response.statusCode === 401) {
      this.credentials.doubt();
      const other = await this.credentials.current();
      if (other.authorization !== identity.authorization || other.tls !== identity.tls) {
        response.destroy();
        response = await this.send(method, path, options, other);
      }
    }
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 299) throw await this.failureOf(method, path, response);
    this.refusals.delete(rightOf(method, path));
    return response;
  }

  /** A short wait is part of the call. */
  private async keepQuiet(signal: AbortSignal): Promise<void> {
    const waitMs = Math.min(RETRY_AFTER_MS_MAX, this.quietUntilMs - this.clock.monotonicMs());
    if (waitMs > QUIET_WAIT_MS_MAX) {
      const text = `${this.name}: too busy; it is asked again in ${Math.ceil(waitMs / 1000)} s, as it wants`;
      throw new KubernetesError('unavailable', text, { retryAfterMs: waitMs });
    }
    if (waitMs > 0) await this.clock.sleep(waitMs, signal);
  }

  /** A connection that the server closed while it waited for us is no failure: another one is taken. */
  private async send(
    method: string,
    path: string,
    options: CallOptions,
    identity: Identity,
  ): Promise<http.IncomingMessage> {
    for (;;) {
      const response = await this.sendOnce(method, path, options, identity);
      if (response !== 'stale') return response;
    }
  }

  private sendOnce(
    method: string,
    path: string,
    { body, type = JSON_TYPE, signal }: CallOptions,
    identity: Identity,
  ): Promise<http.IncomingMessage | 'stale'> {
    if (this.isClosed) throw new Error('the client is closed');
    const isTls = this.server.protocol === 'https:';
    const text = body === undefined ? undefined : JSON.stringify(body);
    const { serverName } = this.credentials.source;
    const options: https.RequestOptions = {
      method,
      agent: this.agentFor(identity),
      host: this.server.hostname.replace(/^\[|\]$/g, ''),
      port: this.server.port || (isTls ? 443 : 80),
      path: `${this.server.pathname.replace(/\/$/, '')}${path}`,
      headers: {
        accept: JSON_TYPE,
        'user-agent': 'weft',
        // As client-go: nothing secret goes over a connection that anybody may read.
        ...(isTls && identity.authorization && { authorization: identity.authorization }),
        ...(text !== undefined && {
          'content-type': type,
          'content-length': Buffer.byteLength(text),
        }),
      },
      ...(signal && { signal }),
      ...(serverName !== undefined && { servername: serverName }),
    };
    return new Promise((resolve, reject) => {
      const request = (isTls ? https : http).request(options);
      this.open.add(request);
      request.once('close', () => this.open.delete(request));
      request.once('response', resolve);
      request.on('error', (error) => {
        const isStale = request.reusedSocket && codeOf(error) === 'ECONNRESET';
        // What was posted may have been made.
        if (isStale && method !== 'POST' && !signal?.aborted) resolve('stale');
        else reject(error);
      });
      request.end(text);
    });
  }

  /** Connections made with other certificates serve their calls to the end, and no further ones. */
  private agentFor({ tls }: Identity): http.Agent {
    if (this.agent && this.agentTls === tls) return this.agent;
    const old = this.agent;
    if (old) {
      old.maxFreeSockets = 0;
      for (const idle of Object.values(old.freeSockets))
        for (const each of idle ?? []) each.destroy();
    }
    const settings = { keepAlive: true, maxFreeSockets: IDLE_MAX };
    const rejectUnauthorized = !this.credentials.source.isInsecure;
    this.agentTls = tls;
    this.agent =
      this.server.protocol === 'https:'
        ? new https.Agent({ ...settings, secureContext: tls, rejectUnauthorized })
        : new http.Agent(settings);
    return this.agent;
  }

  private async failureOf(
    method: string,
    path: string,
    response: http.IncomingMessage,
  ): Promise<KubernetesError> {
    const status = response.statusCode ?? 0;
    const text = await readBody(response, REFUSAL_BYTES_MAX).catch(() => '');
    const retryAfterMs = retryAfter(status, response.headers['retry-after']);
    if (retryAfterMs !== undefined) this.quietUntilMs = this.clock.monotonicMs() + retryAfterMs;
    const isStarting = status === 403 && this.isFirstRefusal(rightOf(method, path));
    const kind = isStarting ? 'unavailable' : kindOf(status);
    const reason = `${status} ${said(response.statusMessage ?? '')}: ${said(saidIn(text))}`;
    const message = `${this.place(method, path)}: ${reason}${adviceFor(status, isStarting)}`;
    return new KubernetesError(kind, message, { status, retryAfterMs });
  }

  /** Whether this was not refused for long yet: the server may not have read its rules. */
  private isFirstRefusal(right: string): boolean {
    const nowMs = this.clock.monotonicMs();
    const sinceMs = this.refusals.get(right) ?? nowMs;
    if (this.refusals.size < REFUSALS_MAX) this.refusals.set(right, sinceMs);
    return nowMs - sinceMs < REFUSED_AT_START_MS;
  }

  private explain(method: string, path: string, error: unknown): Error {
    if (error instanceof KubernetesError) return error;
    if (isOfTrust(error)) this.credentials.doubt();
    const message = `${this.place(method, path)}: ${said(plainMessage(error))}; ${adviceOn(error)}`;
    const Kind = error instanceof LargeBody ? TooLarge : KubernetesError;
    return new Kind('unavailable', message, { cause: error });
  }

  /** For people: what was asked of whom. */
  private place(method: string, path: string): string {
    return `${this.name}: ${method} ${said(path.replace(/\?.*/, ''))}`;
  }
}

/** The whole text; throws {@link LargeBody}. */
async function readBody(response: http.IncomingMessage, bytesMax: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > bytesMax) throw new LargeBody(`the answer is larger than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** What a call takes the right to: a watch another one than a list. */
function rightOf(method: string, path: string): string {
  const [place, query] = path.split('?');
  return `${query?.includes('watch=') ? 'watch' : method} ${place}`;
}

/** What a refusal says: a Status, or the text of whatever is in between. */
function saidIn(text: string): string {
  try {
    const status = JSON.parse(text) as StatusObject;
    return typeof status.message === 'string' ? status.message : text;
  } catch {
    return text;
  }
}

/** Of 429 and 503; a moment in time, which no API server sends, is not understood. */
function retryAfter(status: number, header: string | undefined): number | undefined {
  if ((status !== 429 && status !== 503) || !/^\d{1,9}$/.test(header ?? '')) return undefined;
  return Math.min(RETRY_AFTER_MS_MAX, Number(header) * 1000);
}

function noAnswer(): Error {
  return new Error(`no answer within ${CALL_MS / 1000} s`);
}

/** Without OpenSSL's file names and numbers; several addresses that all failed have only a code. */
function plainMessage(error: unknown): string {
  const { reason, code } = error as { reason?: unknown; code?: unknown };
  return typeof reason === 'string' ? reason : messageOf(error) || String(code);
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown } | null)?.code);
}

/** One side does not take the other's certificate. */
function isOfTrust(error: unknown): boolean {
  return /CERT|TLS|SSL|SIGNATURE/.test(codeOf(error));
}

function adviceOn(error: unknown): string {
  if (error instanceof LargeBody) return 'nothing that weft asks for is so large';
  if (/ALERT/.test(codeOf(error)))
    return 'check the client certificate: the server does not take it';
  if (isOfTrust(error))
    return "check the certificate authority, and the names in the server's certificate";
  if (error instanceof SyntaxError)
    return 'this is not a Kubernetes API server, or a proxy is in between';
  return 'check that the API server runs and can be reached from this node';
}

function adviceFor(status: number, isStarting: boolean): string {
  if (status === 401) return '; check the token or the client certificate';
  if (isStarting) return '; a server that has just started says so to everybody';
  if (status === 403)
    return "; give weft's ServiceAccount this right (deploy/kubernetes/rbac.yaml)";
  return '';
}
