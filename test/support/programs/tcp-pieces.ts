/** Sends one TCP segment in two IP fragments, so many times: node tcp-pieces.js FROM TO PORT COUNT */

import { ipPacket, pattern, tcpPacket } from '../packets.ts';
import { RawSender } from '../raw-sender.ts';

const [source = '', destination = '', port = '', count = ''] = process.argv.slice(2);
const HEADER_BYTES = 20;
/** A multiple of 8 that holds the TCP header. */
const FIRST_BYTES = 104;
const MORE_FRAGMENTS = 0x2000;

function pieces(id: number): Uint8Array[] {
  const ends = { source, destination, destinationPort: Number(port), payload: pattern(200) };
  const transport = tcpPacket(ends).subarray(HEADER_BYTES);
  const piece = (fragment: number, part: Uint8Array): Uint8Array =>
    ipPacket({ source, destination, protocol: 6, transport: part, checksumAt: -1, id, fragment });
  return [
    piece(MORE_FRAGMENTS, transport.subarray(0, FIRST_BYTES)),
    piece(FIRST_BYTES / 8, transport.subarray(FIRST_BYTES)),
  ];
}

const sender = new RawSender();
for (let i = 1; i <= Number(count); i++)
  for (const packet of pieces(i)) {
    const result = sender.send(packet);
    if (result !== 0) throw new Error(`not sent: ${result}`);
  }
sender.close();
