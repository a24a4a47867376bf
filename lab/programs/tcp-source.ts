/**
 * Sends pseudo-random bytes over one TCP connection: `tcp-source.js <address> <port> <bytes> <seed>`.
 * Prints {"bytes":n,"sha256":hex,"ms":n} when the far end has taken everything and closed.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Pattern } from './pattern.ts';

const [address = '', port = '0', total = '0', seed = '1'] = process.argv.slice(2);
const CHUNK = 256 << 10;

const socket = connect(Number(port), address);
await once(socket, 'connect');
socket.resume();
const started = performance.now();
const pattern = new Pattern(Number(seed));
const hash = createHash('sha256');
for (let left = Number(total); left > 0; left -= CHUNK) {
  const chunk = pattern.next(Math.min(CHUNK, left));
  hash.update(chunk);
  if (!socket.write(chunk)) await once(socket, 'drain');
}
socket.end();
await once(socket, 'end');
const ms = Math.round(performance.now() - started);
process.stdout.write(
  `${JSON.stringify({ bytes: Number(total), sha256: hash.digest('hex'), ms })}\n`,
);
