/**
 * Does an encapsulated super-packet that is written into the helper TAP really leave? Only the host knows: forwarding, rp_filter and
 * firewall rules all have a say. So one is sent to a peer and watched for at the device. Inside is a TCP reset between the two nodes'
 * own overlay addresses, which every host ignores.
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Addon } from '../memory/addon.ts';
import { GSO, GSO_FLAG } from '../memory/layout.ts';
import { addressBytes, type Mac, type Words } from '../shared/address.ts';

export interface TunnelProbe {
  family: 4 | 6;
  tapFd: number;
  tapMac: Mac;
  /** of the device that it must leave through */
  interfaceIndex: number;
  /** underlay addresses and port */
  from: Words;
  to: Words;
  port: number;
  vni: number;
  ownMac: Mac;
  peerMac: Mac;
  /** overlay addresses of both nodes */
  innerFrom: Words;
  innerTo: Words;
}

const SEEN_MS = 300;
const LOOK_MS = 5;
const PAYLOAD_BYTES = 16;
const SEGMENT_BYTES = 8;
const ETHERNET_BYTES = 14;
const VNET_BYTES = 24;
const GSO_TYPE = { 4: GSO.tcp4 | GSO.tunnelIpv4, 6: GSO.tcp6 | GSO.tunnelIpv6 } as const;
const PROTOCOL = { tcp: 6, udp: 17 } as const;
const TCP_RESET = 0x14;
const DISCARD_PORT = 9;

let nextMark = 0;

/** True when the probe left within 0.3 s. Throws what the kernel says when it can't be sent or watched. */
export async function probeTunnel(addon: Addon, probe: TunnelProbe): Promise<boolean> {
  nextMark = (nextMark % 0xfffe) + 1;
  const { family, interfaceIndex, tapFd } = probe;
  const watch = addon.openProbe({ family, interfaceIndex, mark: nextMark });
  try {
    writeSync(tapFd, probeFrame(probe, nextMark));
    for (let waitedMs = 0; waitedMs < SEEN_MS; waitedMs += LOOK_MS) {
      if (addon.probeSeen(watch)) return true;
      await sleep(LOOK_MS);
    }
    return false;
  } finally {
    addon.close(watch);
  }
}

/** vnet header, outer Ethernet, IP and UDP, VXLAN, inner Ethernet, IP and TCP, as written to the TAP. */
export function probeFrame(probe: TunnelProbe, mark: number): Buffer {
  const { family, innerFrom, innerTo } = probe;
  const tcp = withChecksumSeed(tcpHeader(), innerFrom, innerTo, family, PROTOCOL.tcp, 16);
  const inner = Buffer.concat([
    ethernet(probe.peerMac, probe.ownMac, family),
    ipHeader(family, innerFrom, innerTo, PROTOCOL.tcp, tcp.length, 0, 64),
    tcp,
  ]);
  const payload = Buffer.concat([vxlanHeader(probe.vni), inner]);
  const udp = Buffer.concat([udpHeader(probe.port, payload.length), payload]);
  withChecksumSeed(udp, probe.from, probe.to, family, PROTOCOL.udp, 6);
  const outer = Buffer.concat([
    ethernet(probe.tapMac, probe.tapMac, family),
    ipHeader(family, probe.from, probe.to, PROTOCOL.udp, udp.length, mark, 65),
  ]);
  const innerIp = outer.length + 8 + 8 + ETHERNET_BYTES;
  return Buffer.concat([vnetHeader(family, outer.length, innerIp), outer, udp]);
}

function vnetHeader(family: 4 | 6, outerUdp: number, innerIp: number): Buffer {
  const header = Buffer.alloc(VNET_BYTES);
  const innerTcp = innerIp + (family === 4 ? 20 : 40);
  const view = new Uint16Array(header.buffer, header.byteOffset, VNET_BYTES / 2); // the host's byte order
  header[0] = (GSO_FLAG.needsCsum | GSO_FLAG.tunnelCsum) >> 8;
  header[1] = GSO_TYPE[family];
  view.set([innerTcp + 20, SEGMENT_BYTES, innerTcp, 16], 1);
  view.set([outerUdp, innerIp], 10);
  return header;
}

function ethernet(to: Mac, from: Mac, family: 4 | 6): Buffer {
  const header = Buffer.alloc(ETHERNET_BYTES);
  header.writeInt32BE(to.high, 0);
  header.writeUInt16BE(to.low, 4);
  header.writeInt32BE(from.high, 6);
  header.writeUInt16BE(from.low, 10);
  header.writeUInt16BE(family === 4 ? 0x0800 : 0x86dd, 12);
  return header;
}

/** `mark` is the IPv4 identification or the IPv6 flow label. */
function ipHeader(
  family: 4 | 6,
  from: Words,
  to: Words,
  protocol: number,
  bytes: number,
  mark: number,
  ttl: number,
): Buffer {
  if (family === 6) {
    const header = Buffer.alloc(8);
    header.writeUInt32BE(0x60000000 + mark, 0);
    header.writeUInt16BE(bytes, 4);
    header[6] = protocol;
    header[7] = ttl;
    return Buffer.concat([header, addressBytes(from), addressBytes(to)]);
  }
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(bytes + 20, 2);
  header.writeUInt16BE(mark, 4);
  header[8] = ttl;
  header[9] = protocol;
  header.set(addressBytes(from), 12);
  header.set(addressBytes(to), 16);
  header.writeUInt16BE(~fold(sumWords(header)) & 0xffff, 10);
  return header;
}

function tcpHeader(): Buffer {
  const header = Buffer.alloc(20 + PAYLOAD_BYTES);
  header.writeUInt16BE(DISCARD_PORT, 0);
  header.writeUInt16BE(DISCARD_PORT, 2);
  header[12] = 0x50;
  header[13] = TCP_RESET;
  return header;
}

function udpHeader(port: number, payloadBytes: number): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(port, 0);
  header.writeUInt16BE(port, 2);
  header.writeUInt16BE(payloadBytes + 8, 4);
  return header;
}

function vxlanHeader(vni: number): Buffer {
  const header = Buffer.alloc(8);
  header[0] = 8;
  header.writeUInt32BE(vni * 256, 4);
  return header;
}

/** Puts the pseudo-header sum where the checksum belongs: the kernel adds the rest. */
function withChecksumSeed(
  transport: Buffer,
  from: Words,
  to: Words,
  family: 4 | 6,
  protocol: number,
  at: number,
): Buffer {
  const addresses = family === 4 ? [from[3], to[3]] : [...from, ...to];
  const sum = addresses.reduce((total, word) => total + (word >>> 16) + (word & 0xffff), 0);
  transport.writeUInt16BE(fold(sum + protocol + transport.length), at);
  return transport;
}

function sumWords(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  return sum;
}

function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}
