/** The far end: answers one test at a time, only to those who know the token, and trusts nothing that comes in. */
import { randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { readLine, writeLine } from './line.ts';
import { measurePath } from './path-mtu.ts';
import {
  BenchError,
  DATAGRAM_BYTES_MAX,
  ECHO_KEY_BYTES,
  isProof,
  PROTOCOL_VERSION,
  parseRequest,
  type Request,
} from './protocol.ts';
import { receiveAll, sendFor } from './stream.ts';

const REQUEST_MS = 5_000;
/** A connection without traffic is given up; a session is kept alive by the kernel instead. */
const IDLE_MS = 60_000;
const KEEPALIVE_MS = 5_000;
const CONNECTIONS_MAX = 16;

export interface ServerOptions {
  addresses: readonly string[];
  /** 0: any free one */
  port: number;
  token: string;
  /** one line about who tests, and who was refused */
  say: (text: string) => void;
}

export class BenchServer {
  readonly #options: ServerOptions;
  readonly #listeners: net.Server[] = [];
  readonly #udpSockets: dgram.Socket[] = [];
  readonly #connections = new Set<net.Socket>();
  /** echo key → the only address that may use it */
  readonly #echoes = new Map<string, string>();
  readonly #abort = new AbortController();
  #session: { id: string; from: string } | undefined;
  #port: number;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#port = options.port;
  }

  get port(): number {
    return this.#port;
  }

  /** Listens on every address, TCP and UDP. Throws WeftError ERR_BENCH_PORT (exit 71) when one can't be had. */
  async start(): Promise<void> {
    for (const address of this.#options.addresses) {
      try {
        await this.#listen(address);
        await this.#bind(address);
      } catch (error) {
        this.close();
        const message = `can't listen on ${address} port ${this.#port} (${messageOf(error)}); choose another --port`;
        throw new WeftError('ERR_BENCH_PORT', EXIT.os, message, error);
      }
    }
  }

  /** Ends everything at once. */
  close(): void {
    this.#abort.abort();
    for (const listener of this.#listeners) listener.close();
    for (const socket of this.#udpSockets) socket.close();
    for (const connection of this.#connections) connection.destroy();
  }

  async #listen(address: string): Promise<void> {
    const listener = net.createServer({ allowHalfOpen: true, noDelay: true }, (connection) => {
      void this.#serve(connection);
    });
    listener.maxConnections = CONNECTIONS_MAX;
    listener.listen(this.#port, address);
    await once(listener, 'listening');
    this.#listeners.push(listener);
    this.#port = (listener.address() as net.AddressInfo).port;
  }

  async #bind(address: string): Promise<void> {
    const socket = dgram.createSocket(net.isIPv6(address) ? 'udp6' : 'udp4');
    socket.on('message', (message, from) => this.#echo(socket, message, from));
    socket.bind(this.#port, address);
    await once(socket, 'listening');
    this.#udpSockets.push(socket);
    socket.on('error', (error) => this.#options.say(`UDP on ${address}: ${error.message}`));
  }

  /** Back to the sender, never more than came, and only while an authenticated connection from there is open. */
  #echo(socket: dgram.Socket, message: Buffer, from: dgram.RemoteInfo): void {
    if (message.length < ECHO_KEY_BYTES || message.length > DATAGRAM_BYTES_MAX) return;
    const key = message.toString('hex', 0, ECHO_KEY_BYTES);
    if (this.#echoes.get(key) !== from.address) return;
    socket.send(message, from.port, from.address, () => undefined);
  }

  async #serve(connection: net.Socket): Promise<void> {
    const from = connection.remoteAddress ?? 'a closed connection';
    this.#connections.add(connection);
    connection.on('close', () => this.#connections.delete(connection));
    // Whoever waits for the connection hears of errors by its close; without a listener they would end the program.
    connection.on('error', () => undefined);
    try {
      const request = await this.#admit(connection);
      if (request.op !== 'session')
        connection.setTimeout(IDLE_MS).on('timeout', () => connection.destroy());
      await this.#answer(connection, request, from);
    } catch (error) {
      if (error instanceof BenchError) {
        this.#options.say(`refused ${from}: ${error.message}`);
        writeLine(connection, { error: error.message });
      }
      // Not destroy(): that could overtake the reason. Whoever does not hang up then is cut.
      connection.end();
      setTimeout(() => connection.destroy(), REQUEST_MS).unref();
    }
  }

  /** The request, from someone who knows the token and, but for the first request, the session. */
  async #admit(connection: net.Socket): Promise<Request> {
    const nonce = randomBytes(16).toString('hex');
    writeLine(connection, { weft: 'bench', version: PROTOCOL_VERSION, nonce });
    const request = parseRequest(await readLine(connection, REQUEST_MS));
    if (!isProof(request.proof, this.#options.token, nonce))
      throw new BenchError('wrong token; give the one that the server printed with --token');
    if (request.op === 'session' && this.#session)
      throw new BenchError(`a test from ${this.#session.from} is running; try again later`);
    if (request.op !== 'session' && request.session !== this.#session?.id)
      throw new BenchError('this test is not the one that is running');
    return request;
  }

  async #answer(connection: net.Socket, request: Request, from: string): Promise<void> {
    if (request.op === 'session') return this.#openSession(connection, from);
    if (request.op === 'echo') return this.#openEcho(connection, from);
    if (request.op === 'upload') {
      writeLine(connection, { ok: true });
      writeLine(connection, await receiveAll(connection, request.seconds));
    } else if (request.op === 'download') {
      writeLine(connection, { ok: true });
      await sendFor(connection, request.seconds);
    } else {
      const local = connection.localAddress as string;
      const family = net.isIPv6(local) ? 6 : 4;
      const result = await measurePath(local, from, family, this.#abort.signal);
      writeLine(connection, { ok: true, result });
    }
    connection.resume().end();
  }

  #openSession(connection: net.Socket, from: string): void {
    const id = randomBytes(16).toString('hex');
    this.#session = { id, from };
    this.#options.say(`a test from ${from} begins`);
    connection.setKeepAlive(true, KEEPALIVE_MS);
    connection.on('end', () => connection.end());
    connection.on('close', () => {
      this.#session = undefined;
      this.#options.say(`the test from ${from} is over`);
    });
    writeLine(connection, { ok: true, session: id });
    connection.resume();
  }

  #openEcho(connection: net.Socket, from: string): void {
    const key = randomBytes(ECHO_KEY_BYTES).toString('hex');
    this.#echoes.set(key, from);
    connection.on('end', () => connection.end());
    connection.on('close', () => this.#echoes.delete(key));
    writeLine(connection, { ok: true, key });
    connection.resume();
  }
}
