/** One TCP stream: as many bytes as fit into the time. The receiving end is the one that measures. */
import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

const CHUNK = Buffer.alloc(256 << 10);
/** What is still on its way when the time is over may take this long to arrive. */
const GRACE_MS = 10_000;

export interface StreamResult {
  bytes: number;
  /** first byte to last byte */
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
    const onClose = (): void => finish(new Error('the stream was cut'));
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

/** Counts until the sender ends. Cuts the stream when it goes on for longer than agreed. */
export function receiveAll(socket: Socket, seconds: number): Promise<StreamResult> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    let firstMs = 0;
    let lastMs = 0;
    const onData = (chunk: Buffer): void => {
      lastMs = performance.now();
      if (bytes === 0) firstMs = lastMs;
      bytes += chunk.length;
    };
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      socket.off('data', onData).off('end', onEnd).off('close', onClose).off('error', finish);
      if (error) reject(error);
      else resolve({ bytes, ms: Math.max(lastMs - firstMs, 0.001) });
    };
    const onEnd = (): void => finish();
    const onClose = (): void => finish(new Error('the stream was cut'));
    const timer = setTimeout(
      () => {
        finish(new Error('the stream did not end in time'));
        socket.destroy();
      },
      seconds * 1000 + GRACE_MS,
    );
    socket.on('data', onData).on('end', onEnd).on('close', onClose).on('error', finish);
    socket.resume();
  });
}
