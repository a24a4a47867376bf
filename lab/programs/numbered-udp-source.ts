/**
 * Sends numbered datagrams at a steady rate: `numbered-udp-source.js <address> <port> <per second> <seconds>`.
 * Ends early on SIGTERM. Prints {"sent":n,"failed":n}; failed = the kernel refused the datagram here.
 */
import { createSocket } from 'node:dgram';

const [address = '', port = '0', rate = '1000', seconds = '10'] = process.argv.slice(2);
/** Number, then filling: about the size of a small request. */
const BYTES = 64;
const TICK_MS = 1;

const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
const total = Math.round(Number(rate) * Number(seconds));
const began = performance.now();
let sent = 0;
let failed = 0;
let answered = 0;

function send(): void {
  const payload = Buffer.alloc(BYTES);
  payload.writeUInt32BE(sent++);
  socket.send(payload, Number(port), address, (error) => {
    if (error) failed++;
    answered++;
    if (stopped && answered === sent) finish();
  });
}

/** A late timer is made up for: the rate holds on average, and no number is left out. */
function tick(): void {
  const due = Math.min(total, Math.floor(((performance.now() - began) / 1000) * Number(rate)));
  while (sent < due) send();
  if (sent >= total) stop();
}

let stopped = false;

function stop(): void {
  if (stopped) return;
  stopped = true;
  clearInterval(timer);
  if (answered === sent) finish();
}

function finish(): void {
  process.stdout.write(`${JSON.stringify({ sent, failed })}\n`);
  socket.close();
}

const timer = setInterval(tick, TICK_MS);
process.once('SIGTERM', stop);
