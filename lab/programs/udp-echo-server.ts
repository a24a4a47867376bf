/** Sends every datagram back: `udp-echo-server.js <address> <port>`. Prints {"listening":port}; runs until ended. */
import { createSocket } from 'node:dgram';

const [address = '::', port = '0'] = process.argv.slice(2);

const socket = createSocket({
  type: address.includes(':') ? 'udp6' : 'udp4',
  recvBufferSize: 4 << 20,
});
socket.on('message', (message, peer) => socket.send(message, peer.port, peer.address));
socket.bind(Number(port), address, () => {
  process.stdout.write(`${JSON.stringify({ listening: Number(port) })}\n`);
});
