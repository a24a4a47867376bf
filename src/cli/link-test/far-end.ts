/** The near end's view of the server: one session, and one connection for each measurement. */
import { once } from 'node:events';
import net from 'node:net';
import { messageOf } from '../../shared/errors.ts';
import { type LatencyResult, measureLatency } from './latency.ts';
import { LateLine, readLine, writeLine } from './line.ts';
import { measurePath, type PathResult } from './path-mtu.ts';
import {
  type Answer,
  BenchError,
  type Op,
  parseAnswer,
  parseGreeting,
  parseLine,
  proofOf,
  uploadResultShape,
} from './protocol.ts';
import { GRACE_MS, receiveAll, type StreamResult, sendFor } from './stream.ts';

const CONNECT_MS = 5_000;
const ANSWER_MS = 10_000;
/** The far end answers at the latest when its grace for a stuck stream is over. */
const RESULT_MS = GRACE_MS + 1_000;
/** The far end's search sends some 15 pings, each up to some seconds. */
const MTU_ANSWER_MS = 60_000;

/** underlay: beside the overlay */
export type Path = 'underlay' | 'overlay';

export interface FarEndOptions {
  address: Readonly<Record<Path, string>>;
  family: 4 | 6;
  port: number;
  token: string;
  signal: AbortSignal;
}

export class FarEnd {
  readonly #options: FarEndOptions;
  #session: { id: string; socket: net.Socket } | undefined;

  constructor(options: FarEndOptions) {
    this.#options = options;
  }

  /** Opens the session over the underlay; throws BenchError when the far end is away, busy or refuses the token. */
  async open(): Promise<void> {
    const { socket, answer } = await this.#ask('underlay', 'session', {});
    socket.resume();
    this.#session = { id: answer.session, socket };
  }

  close(): void {
    this.#session?.socket.destroy();
  }

  /** TCP to the far end, as the far end saw it arrive. */
  upload(path: Path, seconds: number): Promise<StreamResult> {
    return this.#measure(path, 'upload', { seconds }, async (socket) => {
      await sendFor(socket, seconds);
      socket.end();
      return uploadResult(socket);
    });
  }

  /** TCP from the far end. */
  download(path: Path, seconds: number): Promise<StreamResult> {
    return this.#measure(path, 'download', { seconds }, (socket) => receiveAll(socket, seconds));
  }

  latency(path: Path): Promise<LatencyResult> {
    const { address, port, signal } = this.#options;
    return this.#measure(path, 'echo', {}, (_socket, { key }) =>
      measureLatency({ address: address[path], port, key, signal }),
    );
  }

  /** The largest UDP payload in each direction. */
  payload(path: Path): Promise<{ to: PathResult; from: PathResult }> {
    const { address, family, signal } = this.#options;
    return this.#measure(path, 'mtu', {}, async (socket, { result }) => {
      // The server ends this connection with its answer, but the address that it used is known.
      const local = socket.localAddress as string;
      return { to: await measurePath(local, address[path], family, signal), from: result };
    });
  }

  /** Asks on a connection of its own and closes it, whatever happens. */
  async #measure<O extends Op, T>(
    path: Path,
    op: O,
    more: object,
    body: (socket: net.Socket, answer: Answer<O>) => Promise<T>,
  ): Promise<T> {
    const { socket, answer } = await this.#ask(path, op, more);
    try {
      return await body(socket, answer);
    } catch (error) {
      throw new BenchError(`${this.#place(path)}: ${messageOf(error)}`, error);
    } finally {
      socket.destroy();
    }
  }

  async #ask<O extends Op>(
    path: Path,
    op: O,
    more: object,
  ): Promise<{ socket: net.Socket; answer: Answer<O> }> {
    const socket = await this.#connect(path);
    try {
      const nonce = parseGreeting(await readLine(socket, ANSWER_MS));
      const session = this.#session ? { session: this.#session.id } : {};
      writeLine(socket, { op, proof: proofOf(this.#options.token, nonce), ...session, ...more });
      const answer = parseAnswer(
        op,
        await readLine(socket, op === 'mtu' ? MTU_ANSWER_MS : ANSWER_MS),
      );
      return { socket, answer };
    } catch (error) {
      socket.destroy();
      throw new BenchError(`${this.#place(path)}: ${messageOf(error)}`, error);
    }
  }

  async #connect(path: Path): Promise<net.Socket> {
    const { address, port, signal } = this.#options;
    const socket = net.connect({ host: address[path], port, noDelay: true, signal });
    // Every wait has its own listener; this one is for errors between two waits.
    socket.on('error', () => undefined);
    const limit = AbortSignal.timeout(CONNECT_MS);
    try {
      await once(socket, 'connect', { signal: limit });
      return socket;
    } catch (error) {
      socket.destroy();
      const why = limit.aborted ? `no answer in ${CONNECT_MS / 1000} s` : messageOf(error);
      const advice =
        path === 'underlay'
          ? 'run "weft bench --serve" on that node, and let TCP and UDP of this port through its firewall'
          : 'the underlay answers there: compare "weft status" of both nodes, and let the port through the firewall';
      throw new BenchError(`no connection to ${this.#place(path)} (${why}); ${advice}`, error);
    }
  }

  #place(path: Path): string {
    return `${this.#options.address[path]} port ${this.#options.port} (${path})`;
  }
}

/** What arrived. A path that loses large packets can hold up the answer as well: then nothing is known to have arrived. */
async function uploadResult(socket: net.Socket): Promise<StreamResult> {
  try {
    const line = await readLine(socket, RESULT_MS);
    return parseLine(line, uploadResultShape, 'the far end sent no result');
  } catch (error) {
    if (error instanceof LateLine) return { bytes: 0, ms: RESULT_MS };
    throw error;
  }
}
