/**
 * One pod of a soak talks to all the others without an end: `soak-talker.js <socket> <JSON of TalkerTask>`. Each number goes out with
 * the time it was sent and a hash of the whole; what was sent and what came is told in lines of JSON (TalkerReport) on the socket. It
 * listens, connects, and talks when the socket says something. On SIGTERM it stops sending, listens a while longer, says the rest and ends. Needs CAP_NET_ADMIN for a socket that holds what was held up.
 */
import { createHash } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { connect } from 'node:net';
import { loadAddon } from '../../src/memory/addon.ts';
import { addressBytes, parseAddress } from '../../src/shared/address.ts';
import { monotonicMs } from '../soak/monotonic.ts';
import {
  BUCKET_MS,
  type Count,
  type Gap,
  REPORT_MS,
  type TalkerReport,
  type TalkerTask,
} from '../soak/talk.ts';
import { Pattern } from './pattern.ts';

const PORT = 7100;
const LISTEN_ON_MS = 1_500;
/** A silence that is worth telling; packets come every 50 ms. */
const GAP_MS = 300;
/** pod, family, number, time sent */
const HEAD_BYTES = 1 + 1 + 4 + 8;
const HASH_BYTES = 16;
/** Small, about a full packet, and one that goes in fragments. */
const SIZES = [64, 300, 64, 1200, 64, 600, 64, 1200, 64, 2900];
const BUFFER_BYTES = 64 << 20;

const [socketPath = '', taskText = '{}'] = process.argv.slice(2);
const task = JSON.parse(taskText) as TalkerTask;
const filling = new Pattern(task.pod).next(4096);
const hashOf = (bytes: Uint8Array): Buffer =>
  createHash('sha256').update(bytes).digest().subarray(0, HASH_BYTES);

/** Numbers of one stream that came. All below `from` count as known; so many are remembered. */
class Numbers {
  private readonly seen = new Set<number>();
  private highest = -1;

  /** False when it came before. */
  add(number: number): boolean {
    if (this.seen.has(number)) return false;
    this.seen.add(number);
    this.highest = Math.max(this.highest, number);
    this.seen.delete(this.highest - 50_000);
    return true;
  }
}

interface Stream {
  numbers: Numbers;
  lastMs: number | undefined;
}

const counts = { sent: new Map<string, Count>(), got: new Map<string, Count>() };
const streams = new Map<string, Stream>();
let gaps: Gap[] = [];
let repeated = 0;
let corrupt = 0;
let refused = 0;
let lateMs = 0;
let number = 0;

function count(kind: 'sent' | 'got', pod: number, family: 4 | 6, atMs: number): void {
  const bucket = Math.floor(atMs / BUCKET_MS);
  const key = `${pod} ${family} ${bucket}`;
  const known = counts[kind].get(key);
  if (known) known[3]++;
  else counts[kind].set(key, [pod, family, bucket, 1]);
}

function take(message: Buffer): void {
  const now = monotonicMs();
  const end = message.length - HASH_BYTES;
  if (end < HEAD_BYTES || !hashOf(message.subarray(0, end)).equals(message.subarray(end))) {
    corrupt++;
    return;
  }
  const [pod, family] = [message.readUInt8(0), message.readUInt8(1) as 4 | 6];
  const key = `${pod} ${family}`;
  const stream = streams.get(key) ?? { numbers: new Numbers(), lastMs: undefined };
  streams.set(key, stream);
  if (!stream.numbers.add(message.readUInt32BE(2))) {
    repeated++;
    return;
  }
  if (stream.lastMs !== undefined && now - stream.lastMs > GAP_MS)
    gaps.push([pod, family, Math.round(stream.lastMs), Math.round(now)]);
  stream.lastMs = now;
  count('got', pod, family, message.readDoubleBE(6));
}

function sendTo(socket: Socket, pod: number, family: 4 | 6, address: string): void {
  const now = monotonicMs();
  const size = SIZES[number % SIZES.length] as number;
  const message = Buffer.alloc(size);
  filling.copy(message, 0, 0, size);
  message.writeUInt8(task.pod, 0);
  message.writeUInt8(family, 1);
  message.writeUInt32BE(number, 2);
  message.writeDoubleBE(now, 6);
  hashOf(message.subarray(0, size - HASH_BYTES)).copy(message, size - HASH_BYTES);
  count('sent', pod, family, now);
  socket.send(message, PORT, address, (error) => {
    if (error) refused++;
  });
}

async function open(address: string): Promise<Socket> {
  const at = parseAddress(address);
  if (!at) throw new Error(`no address: ${address}`);
  const family = address.includes(':') ? 6 : 4;
  const { fd } = loadAddon().openUdp({
    family,
    address: addressBytes(at),
    port: PORT,
    reusePort: false,
    gro: false,
    dontFragment: false,
    bufferBytes: BUFFER_BYTES,
  });
  const socket = createSocket(`udp${family}`).on('message', take);
  await new Promise<void>((resolve) => socket.bind({ fd }, resolve));
  return socket;
}

const own = new Map<number, Socket>();
for (const { family, address } of task.own) own.set(family, await open(address));
const link = connect(socketPath);
// The answer comes when everybody listens.
await new Promise<void>((resolve) => link.once('data', () => resolve()));

function report(): void {
  const said: TalkerReport = {
    pod: task.pod,
    atMs: Math.round(monotonicMs()),
    lateMs: Math.round(lateMs),
    sent: [...counts.sent.values()],
    got: [...counts.got.values()],
    gaps,
    repeated,
    corrupt,
    refused,
  };
  link.write(`${JSON.stringify(said)}\n`);
  counts.sent.clear();
  counts.got.clear();
  [gaps, repeated, corrupt, refused, lateMs] = [[], 0, 0, 0, 0];
}

let dueMs = monotonicMs();

/** One number to everybody each time; after a late timer the rest follows at once. */
function tick(): void {
  const now = monotonicMs();
  lateMs = Math.max(lateMs, now - dueMs - task.everyMs);
  for (; dueMs <= now; dueMs += task.everyMs, number++)
    for (const { pod, family, address } of task.others) {
      const socket = own.get(family);
      if (socket) sendTo(socket, pod, family, address);
    }
}

const ticking = setInterval(tick, task.everyMs);
setInterval(report, REPORT_MS);
process.once('SIGTERM', () => {
  clearInterval(ticking);
  setTimeout(() => {
    report();
    link.end(() => process.exit(0));
  }, LISTEN_ON_MS);
});
