/** Inner sources that no packet from another node may have, and a judge of them that shares no code with the data plane. */
import ipaddr from 'ipaddr.js';
import { formatAddress, type Words } from '../../src/shared/address.ts';

/** Never a sender on another link, whoever asks. */
export const ODD_SOURCES = {
  4: [
    '0.0.0.0',
    '0.1.2.3',
    '127.0.0.1',
    '127.9.9.9',
    '169.254.0.1',
    '169.254.169.254',
    '224.0.0.1',
    '239.255.255.250',
    '240.0.0.1',
    '255.255.255.255',
  ],
  6: [
    '::',
    '::1',
    'fe80::1',
    'febf::1',
    'ff02::1',
    'ff0e::1',
    '::ffff:192.0.2.9',
    '::ffff:127.0.0.1',
  ],
} as const;

const ODD_RANGES = new Set([
  'unspecified',
  'loopback',
  'linkLocal',
  'multicast',
  'broadcast',
  'ipv4Mapped',
]);

/** Throws when a packet that reached the TUN says that it comes from this host, or from where nobody is. */
export function checkSource(packet: Uint8Array, local: readonly Words[]): void {
  const is4 = (packet[0] as number) >>> 4 === 4;
  const address = ipaddr.fromByteArray([...packet.subarray(...(is4 ? [12, 16] : [8, 24]))]);
  const text = address.toString();
  const isReserved = is4 && (packet[12] as number) >= 240;
  if (isReserved || ODD_RANGES.has(address.range()))
    throw new Error(`a packet from ${text} reached the TUN`);
  if (local.some((own) => formatAddress(own) === text))
    throw new Error(`a packet from this host's ${text} reached the TUN`);
}

/** The packet with another source of its family. Its checksums stay as they are: no node looks at them. */
export function withSource(packet: Uint8Array, source: string): Uint8Array {
  const address = ipaddr.parse(source).toByteArray();
  const at = address.length === 4 ? 12 : 8;
  const bytes = packet.slice();
  if (bytes.length >= at + address.length) bytes.set(address, at);
  return bytes;
}
