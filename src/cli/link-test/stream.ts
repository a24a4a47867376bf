/** One TCP stream: as many bytes as fit into the time. The receiving end is the one that measures. */
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

const CHUNK = Buffer.alloc(256 << 10);
/** What is still on its way when the time is over may take this long to arrive. */
export const GRACE_MS = 2_000;
const CUT = 'the stream was cut; has the far end ended?';

export interface StreamResult {
  bytes: number;
  /** first byte to last byte; all the time when the stream got stuck */
  ms: number;
}

/** Writes until the time is over, then returns; the caller ends the stream or waits for a result. */
export function sendFor(socket: Socket, seconds: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const endMs = performance.now() + seconds * 1000;
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      socket.off('drain', fill).off('close', onClose).off('error', finish);
      if (error) reject(error);
      else resolve();
    };
    const onClose = (): void => finish(new Error(CUT));
    const fill = (): void => {
      while (performance.now() < endMs) if (!socket.write(CHUNK)) return;
      finish();
    };
    // A stalled path drains nothing: the time ends the stream as well.
    const timer = setTimeout(finish, seconds * 1000);
    socket.on('drain', fill).on('close', onClose).on('error', finish);
    fill();
  });
}

/**
 * Counts until the sender ends. A stream that takes longer than agreed is stuck: what came until then is the result,
 * because a path that loses large packets stops TCP, and that is for the test to show.
 */
export function receiveAll(socket: Socket, seconds: number): Promise<StreamResult> {
  return new Promise((resolve, reject) => {
    const startMs = performance.now();
    let bytes = 0;
    let firstMs = startMs;
    let lastMs = startMs;
    const onData = (chunk: Buffer): void => {
      lastMs = performance.now();
      if (bytes === 0) firstMs = lastMs;
      bytes += chunk.length;
    };
    const leave = (): void => {
      clearTimeout(timer);
      socket.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onError);
    };
    const finish = (ms: number): void => {
      leave();
      resolve({ bytes, ms: Math.max(ms, 0.001) });
    };
    const onError = (error: Error): void => {
      leave();
      reject(error);
    };
    const onEnd = (): void => finish(lastMs - firstMs);
    const onClose = (): void => onError(new Error(CUT));
    const onStuck = (): void => finish(performance.now() - startMs);
    const timer = setTimeout(onStuck, seconds * 1000 + GRACE_MS);
    socket.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onError);
    socket.resume();
  });
}
