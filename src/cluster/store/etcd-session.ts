/**
 * Calls to etcd with a bound on each, and what to do when one fails: one client at a time, bound to one endpoint, thrown away with
 * its connection on any doubt and made anew, with the TLS files as they are then, at the next endpoint. One that has no connection yet
 * is laid aside instead, and goes on trying until its endpoint's turn comes again.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { InterceptingCall, type Interceptor, logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import { noop } from 'cockatiel';
import type { Etcd3, IOptions } from 'etcd3';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { printable, SAID_CHARACTERS_MAX } from '../../shared/printable.ts';
import { EtcdClient } from './etcd-client.ts';
import type { EtcdSettings } from './settings.ts';

const CALL_MS = 5_000;
/** etcd hangs up on who pings more often than every 5 s, or while no call is open; the watch is always open. */
const PING_EVERY_MS = 10_000;
const PING_ANSWER_MS = 5_000;
/** Between two tries to get a connection; etcd comes back at any time. */
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 2_000;
/** Lists come in pages (etcd-pages.ts), which are made smaller when they are larger than this. */
const ANSWER_BYTES_MAX = 16 << 20;

// What grpc would print past our log comes to us with the failed call as well.
setLogVerbosity(logVerbosity.NONE);

/** A member that lost its cluster would otherwise keep a watch open and say nothing (clientv3.WithRequireLeader). */
const requireLeader: Interceptor = (options, nextCall) =>
  new InterceptingCall(nextCall(options), {
    start(metadata, listener, next) {
      const own = metadata.clone(); // the original is shared by all calls
      own.set('hasleader', 'true');
      next(own, listener);
    },
  });

/** A client, and what it was made of: its endpoint and a hash of the TLS files. */
export interface Made {
  key: string;
  client: EtcdClient;
}

export class EtcdSession {
  private readonly settings: EtcdSettings;
  private client: Promise<Made> | undefined;
  /** by {@link Made.key}; as many as there are endpoints, and a few more when TLS files change during an outage */
  private readonly aside = new Map<string, Made>();
  /** the last one is aside, or closed */
  private gone: Promise<unknown> | undefined;
  private at = 0;
  private closed = false;

  constructor(settings: EtcdSettings) {
    this.settings = settings;
  }

  /** The endpoints, for people. */
  get name(): string {
    return `etcd ${this.settings.endpoints.join(',')}`;
  }

  /**
   * Runs one call, at the next endpoint when this one fails. A call may have had its effect although it failed.
   * Throws WeftError ERR_STORE_UNAVAILABLE when all endpoints failed, ERR_STORE_REFUSED when etcd itself says no.
   */
  async call<T>(work: (client: Etcd3) => Promise<T>): Promise<T> {
    let last: unknown;
    // One try more than endpoints: the first may meet a token or a connection that died unnoticed.
    for (let tries = 0; tries <= this.settings.endpoints.length; tries++) {
      if (this.closed) throw new Error('etcd session is closed');
      const client = this.current();
      try {
        return await work((await client).client);
      } catch (error) {
        last = error;
        if (isRefusal(error)) throw this.explain('ERR_STORE_REFUSED', error);
        this.drop(client, !isStaleToken(error));
      }
    }
    throw this.explain('ERR_STORE_UNAVAILABLE', last);
  }

  close(): void {
    this.closed = true;
    if (this.client) this.drop(this.client, false);
    for (const { client } of this.aside.values()) client.close();
    this.aside.clear();
  }

  /** Throws the client away that failed, unless another call already did. */
  drop(client: Promise<Made> | undefined, nextEndpoint: boolean): void {
    if (client === undefined || client !== this.client) return;
    this.client = undefined;
    if (nextEndpoint) this.at = (this.at + 1) % this.settings.endpoints.length;
    this.gone = client.then(
      (made) => this.letGo(made),
      () => undefined,
    );
  }

  private letGo(made: Made): void {
    const isOfUse = !this.closed && made.client.isTrying;
    const old = isOfUse ? this.aside.get(made.key) : made;
    if (isOfUse) this.aside.set(made.key, made);
    old?.client.close();
  }

  current(): Promise<Made> {
    this.client ??= this.connect(this.settings.endpoints[this.at] as string);
    return this.client;
  }

  private async connect(endpoint: string): Promise<Made> {
    const credentials = endpoint.startsWith('https:') ? await this.readCredentials() : undefined;
    const key = `${endpoint} ${hashOf(credentials)}`;
    await this.gone;
    const known = this.aside.get(key);
    this.aside.delete(key);
    return known ?? { key, client: this.make(endpoint, credentials) };
  }

  private make(endpoint: string, credentials: IOptions['credentials']): EtcdClient {
    const { username, password } = this.settings;
    const options: IOptions = {
      hosts: endpoint,
      grpcOptions: {
        'grpc.keepalive_time_ms': PING_EVERY_MS,
        'grpc.keepalive_timeout_ms': PING_ANSWER_MS,
        'grpc.max_receive_message_length': ANSWER_BYTES_MAX,
        'grpc.initial_reconnect_backoff_ms': RETRY_MS_MIN,
        'grpc.max_reconnect_backoff_ms': RETRY_MS_MAX,
      },
      defaultCallOptions: ({ isStream }) =>
        isStream ? { interceptors: [requireLeader] } : { deadline: Date.now() + CALL_MS },
      faultHandling: { host: () => noop, global: noop },
    };
    if (username !== '') options.auth = { username, password };
    if (credentials) options.credentials = credentials;
    return new EtcdClient(options);
  }

  private async readCredentials(): Promise<IOptions['credentials']> {
    const { caFile, keyFile, certFile } = this.settings;
    const read = async (flag: string, file: string): Promise<Buffer | undefined> => {
      if (file === '') return undefined;
      return readFile(file).catch((error) => {
        throw new Error(`--${flag} can't be read: ${messageOf(error)}`);
      });
    };
    const root = await read('etcd-cafile', caFile);
    const privateKey = await read('etcd-keyfile', keyFile);
    const certChain = await read('etcd-certfile', certFile);
    if (!root && !privateKey) return undefined;
    // Without a CA file the system's authorities count: grpc takes null for that, which etcd3's type does not know.
    const rootCertificate = (root ?? null) as Buffer;
    return privateKey && certChain
      ? { rootCertificate, privateKey, certChain }
      : { rootCertificate };
  }

  private explain(code: string, error: unknown): WeftError {
    const advice =
      code === 'ERR_STORE_REFUSED'
        ? 'check --etcd-username, the password and the rights of that user'
        : 'check --etcd-endpoints, that etcd runs and has a leader, and the TLS files';
    const text = `store ${this.name}: ${plainMessage(error)}; ${advice}`;
    return new WeftError(code, EXIT.unavailable, text, error);
  }
}

function hashOf(credentials: IOptions['credentials']): string {
  if (!credentials) return '';
  const { rootCertificate, ...own } = credentials;
  const hash = createHash('sha256').update(rootCertificate ?? '');
  for (const part of Object.values(own)) hash.update('\0').update(part);
  return hash.digest('hex');
}

/** Without grpc's status number and its empty phrases. */
function plainMessage(error: unknown): string {
  const message = messageOf(error)
    .replace(/^\d+ /, '')
    .replace(/ Last error: null\./, '')
    .replace(/ Resolution note: ?$/, '');
  return printable(message, SAID_CHARACTERS_MAX);
}

/** Another endpoint would say the same. */
function isRefusal(error: unknown): boolean {
  return /permission denied|authentication failed|user name not found|requested lease not found/i.test(
    messageOf(error),
  );
}

/** Tokens end by time, with a restart of etcd, and with any change of its users. */
function isStaleToken(error: unknown): boolean {
  return /invalid auth token|revision of auth store is old|user name is empty/i.test(
    messageOf(error),
  );
}
