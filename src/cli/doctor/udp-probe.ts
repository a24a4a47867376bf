/**
 * What UDP can honestly be asked: a datagram to a closed port comes back as "port unreachable", so one that is answered so has passed.
 * A VXLAN-shaped datagram to a closed port must pass as a plain one does. The VXLAN port itself answers nothing while somebody
 * listens there; "port unreachable" from it means that nobody does.
 */
import { createSocket } from 'node:dgram';
import { writeVxlan } from '../../wire/headers.ts';

const WAIT_MS = 600;
/** A shape that is eaten gets no answer in any of them, a plain datagram in each: chance alone rarely does that. */
const ROUNDS = 3;
/** Ports of traceroute: nobody listens there. */
const CLOSED_PORT = 33_534;
/** Locally administered: nobody's. */
const MAC = { high: 0x02000000, low: 0 };
const BROADCAST = { high: -1, low: 0xffff };
/** For experiments (IEEE 802). */
const UNUSED_ETHERTYPE = 0x88b5;

export interface UdpAnswers {
  plain: boolean;
  /** false only where each plain datagram was answered and no shaped one */
  shaped: boolean;
}

/**
 * A VXLAN header and an empty broadcast frame of an unused type: no receiver does anything with it. One that listens counts it as what it
 * is, not IP, and as no fault of the sender's header.
 */
export function shapedPayload(vni: number): Buffer {
  const frame = Buffer.alloc(8 + 60);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  writeVxlan(view, 0, vni, BROADCAST, MAC, UNUSED_ETHERTYPE);
  return frame;
}

/** Whether the port of the overlay says that nobody listens there. Only peers that do not answer otherwise are asked. */
export function refusesOverlay(address: string, port: number, vni: number): Promise<boolean> {
  return isRefused(address, port, shapedPayload(vni));
}

export async function probeUdp(address: string): Promise<UdpAnswers> {
  const plain = Buffer.alloc(68, 'weft doctor ');
  let answered = 0;
  for (let round = 0; round < ROUNDS; round++) {
    // Kernels limit how many ICMP errors they send: each kind of datagram has as many chances, the one in question the first.
    if (await isRefused(address, CLOSED_PORT + 1, shapedPayload(1)))
      return { plain: true, shaped: true };
    if (await isRefused(address, CLOSED_PORT, plain)) answered++;
  }
  return { plain: answered > 0, shaped: answered < ROUNDS };
}

function isRefused(address: string, port: number, payload: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const end = (refused: boolean): void => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => undefined);
      socket.close();
      resolve(refused);
    };
    const timer = setTimeout(end, WAIT_MS, false);
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code === 'ECONNREFUSED'));
    socket.connect(port, address, () => socket.send(payload, () => undefined));
  });
}
