/** Lines of JSON, with the errors of a link test. */
import type { Socket } from 'node:net';
import { LineError, readLine as readAnyLine } from '../../shared/line.ts';
import { BenchError, LINE_BYTES_MAX } from './protocol.ts';

/** Nothing came in time; the connection is still there. */
export class LateLine extends BenchError {}

export function writeLine(socket: Socket, value: object): void {
  socket.write(`${JSON.stringify(value)}\n`);
}

/** The next line; see shared/line.ts. Rejects with BenchError when there is none, with LateLine when it takes too long. */
export async function readLine(socket: Socket, timeoutMs: number): Promise<string> {
  try {
    return await readAnyLine(socket, { bytesMax: LINE_BYTES_MAX, timeoutMs });
  } catch (error) {
    if (!(error instanceof LineError)) throw error;
    const Kind = error.fault === 'late' ? LateLine : BenchError;
    throw new Kind(error.message, error);
  }
}
