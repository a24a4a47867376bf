/** weft capture: packets of the overlay as pcap, to a file or a pipe. */
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { captureSummaryShape } from '../../api/capture.ts';
import { pageUrl } from '../../api/pages.ts';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { fetchPage, openPage } from '../client.ts';
import { adminSocketOption, fetchShape } from '../show.ts';

const summaryShape = captureSummaryShape.pick({ captured: true, missed: true });

interface CaptureOptions {
  outer?: boolean;
  peer?: string;
  address?: string;
  count?: number;
  seconds?: number;
  snap?: number;
  write: string;
  adminSocket: string;
}

const HELP = `Inner packets are shown as they come from the pods and out of datagrams, before anything is decided; outer ones as they
are sent and received. Their IP and UDP headers are made for the capture: checksums are 0, and what the kernel
will cut into segments shows as one packet. It costs some hundredths of a core at most: what comes faster is left out and counted.

  weft capture | wireshark -k -i -
  weft capture --outer --peer 10.244.2.0/24 | tcpdump -nn -r -`;

export function addCapture(program: Command): void {
  program
    .command('capture')
    .description('packets of the overlay as pcap')
    .option('--outer', 'encapsulated packets instead of inner ones')
    .option('--peer <peer>', 'only with this node: its subnet, key or address')
    .option('--address <address>', 'only with this inner source or destination')
    .option('--count <n>', 'stop after this many packets', parseWhole)
    .option('--seconds <n>', 'stop after this many seconds', parseWhole)
    .option('--snap <bytes>', 'only the first bytes of each packet (64 or more)', parseWhole)
    .option('-w, --write <file>', 'where to; "-" is standard output', '-')
    .addOption(adminSocketOption())
    .addHelpText('after', `\n${HELP}`)
    .exitOverride()
    .action(capture);
}

async function capture(options: CaptureOptions): Promise<void> {
  const { adminSocket, write } = options;
  if (write === '-' && process.stdout.isTTY) {
    const hint = 'append "| wireshark -k -i -", or name a file with -w';
    throw new WeftError('ERR_TERMINAL', EXIT.failure, `pcap can't go to a terminal: ${hint}`);
  }
  const source = await openPage(adminSocket, urlOf(options));
  // Told to stop, the daemon still sends what it has, so that the last packet is whole.
  const stop = (): void => {
    fetchPage(adminSocket, '/capture/stop').catch((error: Error) => source.destroy(error));
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    await pipeline(source, openTarget(write));
  } catch (error) {
    throw captureFailed(write, error);
  }
  const { captured, missed } = await fetchShape(adminSocket, '/capture/summary', summaryShape);
  const note = missed > 0 ? `; ${missed} not captured: they came faster than they were taken` : '';
  process.stderr.write(`weft: ${captured} packets captured${note}\n`);
}

function urlOf({ outer, peer, address, count, seconds, snap }: CaptureOptions): string {
  const side = outer ? 'outer' : 'inner';
  return pageUrl('/capture', { side, peer, address, count, seconds, snap });
}

function openTarget(file: string): Writable {
  return file === '-' ? process.stdout : createWriteStream(file, { mode: 0o600 });
}

function captureFailed(file: string, error: unknown): WeftError {
  const where = file === '-' ? 'standard output' : file;
  const message = `capture to ${where} broke off: ${messageOf(error)}`;
  return new WeftError('ERR_CAPTURE', EXIT.failure, message, error);
}

function parseWhole(text: string): number {
  if (/^\d{1,15}$/.test(text) && Number(text) > 0) return Number(text);
  throw new InvalidArgumentError('It must be a whole number from 1.');
}
