/** /drops: who dropped how many packets and why, and the headers of some of them. */
import {
  type DropSample as DropSampleJson,
  type DropsPage,
  dropsQueryShape,
} from '../../../api/drops.ts';
import { parseQuery } from '../../../api/query.ts';
import { DROP_REASONS } from '../../../memory/drops.ts';
import { formatAddress, type Words } from '../../../shared/address.ts';
import type { Node } from '../../node.ts';
import type { DropSample } from '../../observe/drop-reader.ts';

const PROTOCOLS: Readonly<Record<number, string>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmp6' };

export function dropsPage({ backend }: Node, query: URLSearchParams): DropsPage {
  const { since } = parseQuery(dropsQueryShape, query);
  if (since > 0) backend?.observation?.onlookers.follow();
  const found = backend?.observation?.drops.since(since);
  return {
    workers: (backend?.workerTotals?.() ?? []).map(({ drops }, worker) => ({ worker, ...drops })),
    samples: (found?.samples ?? []).map(sampleJson),
    nextSequence: found?.nextSequence ?? 0,
  };
}

function sampleJson(sample: DropSample): DropSampleJson {
  const { sequence, at, worker, reason, outer } = sample;
  return {
    sequence,
    at: at.toISOString(),
    worker,
    direction: DROP_REASONS[reason].direction,
    reason,
    outer: outer ? withPort(formatAddress(outer.address), outer.port) : null,
    packet: `${describe(sample)}, ${sample.packetBytes} bytes`,
  };
}

/** "10.244.1.2:1234 > 10.244.2.3:80 tcp" */
function describe({ header, protocol, transport }: DropSample): string {
  if (header.byteLength === 0) return 'no IP header';
  const is4 = header.getUint8(0) >>> 4 === 4;
  const [source, destination] = is4
    ? ([address4(header, 12), address4(header, 16)] as const)
    : ([address6(header, 8), address6(header, 24)] as const);
  const name = PROTOCOLS[protocol] ?? `protocol ${protocol}`;
  if (transport === 0 || transport + 8 > header.byteLength)
    return `${source} > ${destination} ${name}`;
  if (protocol !== 6 && protocol !== 17)
    return `${source} > ${destination} ${name} type ${header.getUint8(transport)}`;
  const ports = [header.getUint16(transport), header.getUint16(transport + 2)] as const;
  return `${withPort(source, ports[0])} > ${withPort(destination, ports[1])} ${name}`;
}

function withPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function address4(header: DataView, at: number): string {
  return formatAddress([0, 0, 0xffff, header.getInt32(at)]);
}

function address6(header: DataView, at: number): string {
  const words: Words = [
    header.getInt32(at),
    header.getInt32(at + 4),
    header.getInt32(at + 8),
    header.getInt32(at + 12),
  ];
  return formatAddress(words);
}
