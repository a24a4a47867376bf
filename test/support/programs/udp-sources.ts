/** Listens on a UDP port of both families and prints what the source address of each datagram is: node udp-sources.js PORT */
import { createSocket } from 'node:dgram';

const port = Number(process.argv[2]);
for (const [type, address] of [
  ['udp4', '0.0.0.0'],
  ['udp6', '::'],
] as const) {
  const socket = createSocket({ type, ipv6Only: type === 'udp6' });
  socket.on('message', (_bytes, from) => process.stdout.write(`${from.address}\n`));
  socket.bind(port, address, () => process.stdout.write(`${type} listens\n`));
}
