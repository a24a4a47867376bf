/** Answers other daemons' questions on this node's overlay addresses, peers only. */
import net from 'node:net';
import { formatAddress, parseAddress, type Words } from '../../shared/address.ts';
import { messageOf } from '../../shared/errors.ts';
import { readLine } from '../../shared/line.ts';
import { Visitors } from '../serve/visitors.ts';
import {
  formatRefusal,
  formatRow,
  parseQuestion,
  QUESTION_BYTES_MAX,
  type Question,
  type Row,
} from './protocol.ts';

const ROOM = { connectionsMax: 64, perAddressMax: 8 };
const QUESTION_MS = 2_000;
const CONNECTION_MS = 10_000;
export const WINDOW_MS = 10_000;
/** Questions that one peer may ask in a window. */
export const QUESTIONS_PER_WINDOW = 60;
const RETRY_MS = 5_000;

export interface ServerContext {
  addresses: readonly Words[];
  port: number;
  /** whether an address is a peer's overlay address */
  isPeer: (address: Words) => boolean;
  /** rejects with what the asker may know */
  answer: (question: Question) => Promise<Row>;
  /** an address on which it can't listen; it goes on trying */
  onProblem: (message: string) => void;
}

/** Listens from {@link start} to {@link stop}; a listener outlives the device that it listens on, because it is bound to the address. */
export class ReachServer {
  private readonly context: ServerContext;
  private readonly servers = new Set<net.Server>();
  private readonly visitors = new Visitors(ROOM);
  private readonly retries = new Set<NodeJS.Timeout>();
  private asked = new Map<string, number>();
  private windowAtMs = 0;

  constructor(context: ServerContext) {
    this.context = context;
  }

  start(): void {
    for (const address of this.context.addresses) this.listen(formatAddress(address));
  }

  stop(): void {
    for (const timer of this.retries) clearTimeout(timer);
    for (const server of this.servers) server.close();
    this.visitors.closeAll();
  }

  private listen(host: string): void {
    const { port, onProblem } = this.context;
    const server = net.createServer({ noDelay: true }, (socket) => this.admit(socket));
    server.once('error', (error) => {
      this.servers.delete(server);
      onProblem(
        `reachability: can't listen on ${host}, port ${port} (${messageOf(error)}); trying on`,
      );
      const timer = setTimeout(() => {
        this.retries.delete(timer);
        this.listen(host);
      }, RETRY_MS).unref();
      this.retries.add(timer);
    });
    this.servers.add(server);
    server.listen({ host, port }).unref();
  }

  private admit(socket: net.Socket): void {
    const from = parseAddress(socket.remoteAddress ?? '');
    if (!from || !this.context.isPeer(from) || !this.mayAsk(formatAddress(from))) {
      socket.resetAndDestroy();
      return;
    }
    socket.on('error', () => undefined);
    if (!this.visitors.admit(socket)) return;
    const late = setTimeout(() => socket.destroy(), QUESTION_MS);
    const end = setTimeout(() => socket.destroy(), CONNECTION_MS);
    socket.once('close', () => {
      clearTimeout(late);
      clearTimeout(end);
    });
    void this.serve(socket, late);
  }

  private async serve(socket: net.Socket, late: NodeJS.Timeout): Promise<void> {
    try {
      const question = parseQuestion(await readLine(socket, { bytesMax: QUESTION_BYTES_MAX }));
      clearTimeout(late);
      this.visitors.begin(socket, socket);
      const answer = this.context.answer(question).then(formatRow, (error: unknown) => {
        return formatRefusal(messageOf(error));
      });
      socket.end(await answer);
    } catch {
      // What is no question gets no answer.
      socket.destroy();
    }
  }

  private mayAsk(address: string): boolean {
    const now = performance.now();
    if (now - this.windowAtMs > WINDOW_MS) {
      this.windowAtMs = now;
      this.asked = new Map();
    }
    const count = (this.asked.get(address) ?? 0) + 1;
    this.asked.set(address, count);
    return count <= QUESTIONS_PER_WINDOW;
  }
}
