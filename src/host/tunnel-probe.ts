/**
 * Does an encapsulated super-packet that is written into the helper TAP really leave? Only the host knows: forwarding, rp_filter and
 * firewall rules all have a say. So one is sent to a peer and watched for at the device. Inside is a TCP reset between the two nodes'
 * own overlay addresses, which every host ignores.
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Addon } from '../memory/addon.ts';
import { GSO, GSO_FLAG } from '../memory/layout.ts';
import type { Mac, Words } from '../shared/address.ts';
import {
  ETHERNET_HEADER_BYTES,
  etherTypeOf,
  IP_HEADER_BYTES,
  writeEthernet,
  writeIp,
  writeUdp,
  writeVxlan,
} from '../wire/headers.ts';
import { IpHeader, PROTOCOL, parseIp, pseudoHeaderSum } from '../wire/ip.ts';
import {
  TCP_CHECKSUM_AT,
  TCP_HEADER_BYTES_MIN,
  UDP_CHECKSUM_AT,
  UDP_HEADER_BYTES,
} from '../wire/transport.ts';
import { VXLAN_ENCAP_BYTES } from '../wire/vxlan.ts';

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
const VNET_BYTES = 24;
const GSO_TYPE = { 4: GSO.tcp4 | GSO.tunnelIpv4, 6: GSO.tcp6 | GSO.tunnelIpv6 } as const;
/** What the inner packet has; the host takes one from the outer packet's when it forwards it. */
const TTL = 64;
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
  const { family, tapMac, port } = probe;
  const outerIp = ETHERNET_HEADER_BYTES;
  const udp = outerIp + IP_HEADER_BYTES[family];
  const vxlan = udp + UDP_HEADER_BYTES;
  const innerIp = vxlan + VXLAN_ENCAP_BYTES;
  const tcp = innerIp + IP_HEADER_BYTES[family];
  const end = tcp + TCP_HEADER_BYTES_MIN + PAYLOAD_BYTES;
  const frame = Buffer.alloc(VNET_BYTES + end);
  const view = new DataView(frame.buffer, frame.byteOffset + VNET_BYTES, end);
  const etherType = etherTypeOf(family);
  writeEthernet(view, 0, tapMac, tapMac, etherType);
  const outer = { family, source: probe.from, destination: probe.to, protocol: PROTOCOL.udp };
  writeIp(view, outerIp, { ...outer, ttl: TTL + 1, mark, payloadBytes: end - udp });
  writeUdp(view, udp, port, port, end - udp);
  writeVxlan(view, vxlan, probe.vni, probe.peerMac, probe.ownMac, etherType);
  const inner = { family, source: probe.innerFrom, destination: probe.innerTo };
  const tcpOnly = { protocol: PROTOCOL.tcp, payloadBytes: end - tcp };
  writeIp(view, innerIp, { ...inner, ...tcpOnly, ttl: TTL, mark: 0 });
  writeReset(view, tcp);
  seedChecksum(view, innerIp, TCP_CHECKSUM_AT);
  seedChecksum(view, outerIp, UDP_CHECKSUM_AT);
  frame.set(vnetHeader(family, udp, innerIp, tcp));
  return frame;
}

function vnetHeader(family: 4 | 6, outerUdp: number, innerIp: number, innerTcp: number): Buffer {
  const header = Buffer.alloc(VNET_BYTES);
  const words = new Uint16Array(header.buffer, header.byteOffset, VNET_BYTES / 2); // the host's byte order
  header[0] = (GSO_FLAG.needsCsum | GSO_FLAG.tunnelCsum) >> 8;
  header[1] = GSO_TYPE[family];
  words.set([innerTcp + TCP_HEADER_BYTES_MIN, SEGMENT_BYTES, innerTcp, TCP_CHECKSUM_AT], 1);
  words.set([outerUdp, innerIp], 10);
  return header;
}

function writeReset(view: DataView, at: number): void {
  view.setUint16(at, DISCARD_PORT);
  view.setUint16(at + 2, DISCARD_PORT);
  view.setUint8(at + 12, 0x50); // five words
  view.setUint8(at + 13, TCP_RESET);
}

/** Puts the pseudo-header sum where the checksum belongs: the kernel adds the rest. */
function seedChecksum(view: DataView, ip: number, checksumAt: number): void {
  const header = new IpHeader();
  parseIp(view, ip, view.byteLength - ip, header);
  view.setUint16(ip + header.transport + checksumAt, pseudoHeaderSum(header));
}
