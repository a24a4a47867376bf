/** Asks another daemon for its row, or for that of one of its peers. */
import net from 'node:net';
import { formatAddress, type Words } from '../../shared/address.ts';
import { REACH_ANSWER_BYTES_MAX } from '../../shared/limits.ts';
import { readLine } from '../../shared/line.ts';
import { formatQuestion, parseRow, type Row } from './protocol.ts';

const CONNECT_MS = 2_000;
/** The other one makes a round first, and may have to ask a third one. */
const ANSWER_MS = 9_000;

export interface Way {
  from: Words;
  to: Words;
  port: number;
}

/** Rejects with what went wrong; `code` ECONNREFUSED when a node is there but no weftd listens. */
export async function askRow({ from, to, port }: Way, of?: string): Promise<Row> {
  const socket = net.connect({
    host: formatAddress(to),
    port,
    localAddress: formatAddress(from),
  });
  // The wait for the line has its own listener; this one is for errors behind it.
  socket.on('error', () => undefined);
  let timer = setTimeout(() => socket.destroy(new Error('no connection in time')), CONNECT_MS);
  try {
    socket.once('connect', () => {
      clearTimeout(timer);
      timer = setTimeout(() => socket.destroy(new Error('no answer in time')), ANSWER_MS);
      socket.write(formatQuestion(of));
    });
    return parseRow(await readLine(socket, { bytesMax: REACH_ANSWER_BYTES_MAX }));
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}
