/**
 * Sends one datagram of each size and checks the echo byte by byte:
 * `udp-echo-client.js <address> <port> <seed> <wait ms> <attempts> <size,size,...>`.
 * Prints {"sizes":n,"missing":[..],"corrupt":[..],"repeated":[..]}; repeated = needed more than one attempt.
 */
import { createSocket, type Socket } from 'node:dgram';
import { Pattern } from './pattern.ts';

const [address = '', port = '0', seed = '1', wait = '500', attempts = '2', list = ''] =
  process.argv.slice(2);

type Answer = 'equal' | 'corrupt' | 'none';

/** An answer of another length is a late echo of an earlier size and is passed over. */
function exchange(socket: Socket, payload: Buffer): Promise<Answer> {
  return new Promise((resolve) => {
    const finish = (answer: Answer): void => {
      clearTimeout(timer);
      socket.off('message', take);
      resolve(answer);
    };
    const take = (message: Buffer): void => {
      if (message.length === payload.length) finish(message.equals(payload) ? 'equal' : 'corrupt');
    };
    const timer = setTimeout(finish, Number(wait), 'none');
    socket.on('message', take);
    socket.send(payload, Number(port), address, (error) => {
      if (error) finish('none');
    });
  });
}

const socket = createSocket({
  type: address.includes(':') ? 'udp6' : 'udp4',
  recvBufferSize: 4 << 20,
});
const sizes = list.split(',').filter(Boolean).map(Number);
const pattern = new Pattern(Number(seed));
const report = {
  sizes: sizes.length,
  missing: [] as number[],
  corrupt: [] as number[],
  repeated: [] as number[],
};
for (const size of sizes) {
  const payload = pattern.next(size);
  let answer: Answer = 'none';
  for (let attempt = 1; attempt <= Number(attempts) && answer === 'none'; attempt++) {
    if (attempt === 2) report.repeated.push(size);
    answer = await exchange(socket, payload);
  }
  if (answer === 'none') report.missing.push(size);
  if (answer === 'corrupt') report.corrupt.push(size);
}
socket.close();
process.stdout.write(`${JSON.stringify(report)}\n`);
