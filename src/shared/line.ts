/** Lines of text on a TCP socket that may carry something else afterwards. */
import type { Socket } from 'node:net';

const NEWLINE = 10;

export type LineFault = 'tooLong' | 'ended' | 'late';

/** Why there was no line; `fault` is for programs. */
export class LineError extends Error {
  readonly fault: LineFault;

  constructor(fault: LineFault, message: string) {
    super(message);
    this.name = 'LineError';
    this.fault = fault;
  }
}

export interface LineLimits {
  /** without the line end */
  bytesMax: number;
  /** without it the caller sees to it that the wait ends */
  timeoutMs?: number;
}

/**
 * The next line, without its end. What came behind it stays in the socket, which is left paused and, when nothing came in time,
 * open. Rejects with LineError, or with the socket's own error.
 */
export function readLine(socket: Socket, { bytesMax, timeoutMs }: LineLimits): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    let timer: NodeJS.Timeout | undefined;
    const stop = (): void => {
      clearTimeout(timer);
      socket.pause();
      socket.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', fail);
    };
    const fail = (error: Error): void => {
      stop();
      reject(error);
    };
    const onEnd = (): void =>
      fail(new LineError('ended', 'the connection ended before a whole line'));
    const onData = (part: Buffer): void => {
      const end = part.indexOf(NEWLINE);
      const head = end < 0 ? part : part.subarray(0, end);
      bytes += head.length;
      parts.push(head);
      if (bytes > bytesMax) fail(new LineError('tooLong', 'a line was too long'));
      else if (end >= 0) {
        stop();
        if (end + 1 < part.length) socket.unshift(part.subarray(end + 1));
        resolve(Buffer.concat(parts).toString('utf8'));
      }
    };
    if (timeoutMs !== undefined)
      timer = setTimeout(() => {
        fail(new LineError('late', `nothing came within ${timeoutMs / 1000} s`));
      }, timeoutMs);
    socket.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', fail);
    socket.resume();
    if (socket.destroyed || socket.readableEnded) onEnd();
  });
}
