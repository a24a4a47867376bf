/**
 * Takes one TCP connection and reports what came: `tcp-sink.js <address> <port>`.
 * Prints {"listening":port}, then {"bytes":n,"sha256":hex}.
 */
import { createHash } from 'node:crypto';
import { createServer, type Socket } from 'node:net';

const [address = '::', port = '0'] = process.argv.slice(2);

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function take(socket: Socket): void {
  const hash = createHash('sha256');
  let bytes = 0;
  socket.on('data', (chunk) => {
    hash.update(chunk);
    bytes += chunk.length;
  });
  socket.once('error', (error) => {
    print({ error: error.message, bytes });
    process.exitCode = 1;
  });
  socket.once('end', () => {
    print({ bytes, sha256: hash.digest('hex') });
    socket.end();
  });
}

const server = createServer({ allowHalfOpen: true }, (socket) => {
  server.close();
  take(socket);
});
server.listen(Number(port), address, () => print({ listening: Number(port) }));
