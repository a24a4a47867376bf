/** Lines of JSON on a TCP socket that carries something else afterwards. */
import type { Socket } from 'node:net';
import { BenchError, LINE_BYTES_MAX } from './protocol.ts';

const NEWLINE = 10;

/** Nothing came in time; the connection is still there. */
export class LateLine extends BenchError {
  constructor(timeoutMs: number) {
    super(`nothing came within ${timeoutMs / 1000} s`);
    this.name = 'LateLine';
  }
}

export function writeLine(socket: Socket, value: object): void {
  socket.write(`${JSON.stringify(value)}\n`);
}

/**
 * The next line. What came behind it stays in the socket, which is left paused.
 * Throws BenchError when the line is too long or the connection ends, LateLine when it takes too long.
 */
export function readLine(socket: Socket, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      socket.pause();
      socket.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', finish);
      if (error) reject(error);
    };
    const onEnd = (): void => finish(new BenchError('the connection was closed'));
    const onData = (chunk: Buffer): void => {
      const end = chunk.indexOf(NEWLINE);
      const head = end < 0 ? chunk : chunk.subarray(0, end);
      length += head.length;
      parts.push(head);
      if (length > LINE_BYTES_MAX) finish(new BenchError('a line was too long'));
      else if (end >= 0) {
        finish();
        if (end + 1 < chunk.length) socket.unshift(chunk.subarray(end + 1));
        resolve(Buffer.concat(parts).toString('utf8'));
      }
    };
    const timer = setTimeout(() => finish(new LateLine(timeoutMs)), timeoutMs);
    socket.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', finish);
    socket.resume();
    if (socket.destroyed || socket.readableEnded) onEnd();
  });
}
