/**
 * Counts the numbered datagrams of numbered-udp-source: `numbered-udp-sink.js <address> <port>`. Prints {"listening":port}, and on
 * SIGTERM, as soon as nothing has come for half a second, {"received":n,"repeated":n,"highest":n,"missing":n,"longestGapMs":n}: missing = numbers below the highest that never came,
 * highest = -1 if none came, longestGapMs = the longest time between two arrivals. Needs CAP_NET_ADMIN for a socket that holds what
 * was held up and arrives at once.
 */
import { createSocket } from 'node:dgram';
import { loadAddon } from '../../src/memory/addon.ts';
import { addressBytes, parseAddress } from '../../src/shared/address.ts';

const [address = '::', port = '0'] = process.argv.slice(2);

const QUIET_MS = 500;

const seen = new Set<number>();
let repeated = 0;
let highest = -1;
let longestGapMs = 0;
let lastAtMs: number | undefined;
let endTimer: NodeJS.Timeout | undefined;

const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
socket.on('message', (message) => {
  if (message.length < 4) return;
  const number = message.readUInt32BE();
  if (seen.has(number)) repeated++;
  seen.add(number);
  highest = Math.max(highest, number);
  const now = performance.now();
  if (lastAtMs !== undefined) longestGapMs = Math.max(longestGapMs, now - lastAtMs);
  lastAtMs = now;
  endTimer?.refresh();
});

/** What is still on its way arrives before the report. */
function reportWhenQuiet(): void {
  endTimer = setTimeout(report, QUIET_MS);
}

function report(): void {
  const received = seen.size;
  const missing = highest + 1 - received;
  const gap = Math.round(longestGapMs);
  process.stdout.write(
    `${JSON.stringify({ received, repeated, highest, missing, longestGapMs: gap })}\n`,
  );
  socket.close();
}

process.once('SIGTERM', reportWhenQuiet);
const at = parseAddress(address);
if (!at) throw new Error(`no address: ${address}`);
const { fd } = loadAddon().openUdp({
  family: address.includes(':') ? 6 : 4,
  address: addressBytes(at),
  port: Number(port),
  reusePort: false,
  gro: false,
  dontFragment: true,
  bufferBytes: 64 << 20,
});
socket.bind({ fd }, () => {
  process.stdout.write(`${JSON.stringify({ listening: Number(port) })}\n`);
});
