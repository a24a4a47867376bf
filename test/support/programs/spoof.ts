/** Sends UDP datagrams in the name of whoever is named: node spoof.js DESTINATION PORT COUNT SOURCE... Ends when all have left. */
import { udpPacket } from '../packets.ts';
import { RawSender } from '../raw-sender.ts';

const [destination = '', port = '', count = '', ...sources] = process.argv.slice(2);
const sender = new RawSender();
for (const source of sources) {
  const fields = { source, destination, destinationPort: Number(port) };
  const packet = udpPacket({ ...fields, payload: new TextEncoder().encode(source) });
  for (let i = 0; i < Number(count); i++) {
    const result = sender.send(packet);
    if (result !== 0) throw new Error(`${source}: ${result}`);
  }
}
sender.close();
