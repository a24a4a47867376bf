/**
 * A thread that gives up what a worker does, then tries to leave its place. Its first message is what came of each try, ""
 * for success; a second one comes after work as V8 has it: code compiled, memory taken and given back.
 */
import { execFileSync, spawn } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { parentPort, Worker } from 'node:worker_threads';
import { loadAddon } from '../../../src/memory/addon.ts';

const addon = loadAddon();
const given = [addon.hardenCapabilities(), addon.hardenCalls()];

function attempt(act: () => unknown): string {
  try {
    act();
    return '';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** What it says of itself at once, or later. */
function later(start: () => NodeJS.EventEmitter): Promise<string> {
  return new Promise((resolve) => {
    const failed = attempt(() =>
      start()
        .once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? String(error)))
        .once('connect', () => resolve(''))
        .once('online', () => resolve(''))
        .once('spawn', () => resolve('')),
    );
    if (failed !== '') resolve(failed);
  });
}

const tries = {
  given,
  read: attempt(() => readFileSync('/etc/hostname')),
  write: attempt(() => openSync('/dev/null', 'w')),
  run: attempt(() => execFileSync('/bin/true')),
  runLater: await later(() => spawn('/bin/true')),
  connect: await later(() => connect({ host: '127.0.0.1', port: 1 })),
  thread: await later(() => new Worker('', { eval: true })),
  socket: attempt(() => addon.openPair()),
  signal: attempt(() => process.kill(process.ppid, 0)),
};
parentPort?.postMessage(tries);

function work(rounds: number): number {
  let sum = 0;
  for (let i = 0; i < rounds; i++) {
    const part = new Float64Array(1 << 16).fill(i);
    sum += part.reduce((all, value) => all + value, 0) + JSON.stringify({ i }).length;
  }
  return sum;
}
parentPort?.postMessage(work(300) > 0);
