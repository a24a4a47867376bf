/** A numbered UDP stream between two pods: which numbers got lost while something happened. */

import type { Pod } from './pod.ts';
import type { LabProcess } from './process.ts';
import { labProgram } from './root.ts';

export interface StreamResult {
  sent: number;
  received: number;
  repeated: number;
  /** sent, and never arrived */
  lost: number;
  /** longest time between two arrivals */
  longestGapMs: number;
}

export interface StreamOptions {
  family?: 4 | 6;
  port?: number;
  /** default 1,000 */
  perSecond?: number;
}

/** A running stream. */
export class NumberedStream {
  readonly #source: LabProcess;
  readonly #sink: LabProcess;

  private constructor(source: LabProcess, sink: LabProcess) {
    this.#source = source;
    this.#sink = sink;
  }

  static async start(from: Pod, to: Pod, options: StreamOptions = {}): Promise<NumberedStream> {
    const { family = 4, port = 7003, perSecond = 1000 } = options;
    const address = to.address(family);
    const run = (pod: Pod, program: string, ...args: (string | number)[]): LabProcess =>
      pod.namespace.spawn(process.execPath, [labProgram(program), ...args.map(String)]);
    const sink = run(to, 'numbered-udp-sink', address, port);
    await sink.waitForOutput(/"listening"/);
    // The end comes by stop(); the time only bounds a stream that nobody stops.
    const source = run(from, 'numbered-udp-source', address, port, perSecond, 600);
    return new NumberedStream(source, sink);
  }

  /** Ends the sender, then the receiver as soon as nothing has come for a while, so that what is still on its way arrives. */
  async stop(): Promise<StreamResult> {
    this.#source.signal('SIGTERM');
    const [sentLine] = await this.#source.waitForOutput(/^\{.*"sent".*\}$/m);
    this.#sink.signal('SIGTERM');
    const [line] = await this.#sink.waitForOutput(/^\{.*"received".*\}$/m);
    const { sent } = JSON.parse(sentLine) as { sent: number };
    const { received, repeated, longestGapMs } = JSON.parse(line) as Omit<StreamResult, 'lost'>;
    return { sent, received, repeated, lost: sent - received, longestGapMs };
  }
}
