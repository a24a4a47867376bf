/** VXLAN datagrams over IPv4 with TCP in them, and such as are odd in one way. */
import { type Mac, parseAddress, type Words } from '../../src/shared/address.ts';
import { writeIp, writeUdp, writeVxlan } from '../../src/wire/headers.ts';
import { PROTOCOL } from '../../src/wire/ip.ts';
import { ETHERTYPE, VXLAN } from '../../src/wire/vxlan.ts';

export interface DatagramFields {
  /** of the nodes */
  from: string;
  to: string;
  /** of the receiver's overlay device */
  mac: Mac;
  innerFrom: string;
  innerTo: string;
  /** plain|vni|flags|mac|type|cut|ce|destination|source|from=ADDRESS|padded|udp */
  what: string;
}

const PORT = 8472;
const OUTER_UDP = 20;
const OUTER_VXLAN = OUTER_UDP + 8;
const INNER = OUTER_VXLAN + 22;
const INNER_BYTES = 40;
/** Of a network of nobody's pods, inside the overlay. */
const FOREIGN = '10.244.250.9';

function words(text: string): Words {
  const found = parseAddress(text);
  if (!found) throw new Error(`no address: ${text}`);
  return found;
}

/** A whole IP packet. */
export function vxlanDatagram(fields: DatagramFields): Uint8Array {
  const { from, to, what } = fields;
  const bytes = new Uint8Array(INNER + INNER_BYTES + (what === 'padded' ? 6 : 0));
  const view = new DataView(bytes.buffer);
  writeInner(view, fields);
  writeOverlay(view, fields);
  if (what === 'cut') view.setUint16(INNER + 2, INNER_BYTES + 100);
  writeUdp(view, OUTER_UDP, 40_000, PORT, bytes.length - OUTER_UDP);
  writeIp(view, 0, {
    family: 4,
    source: words(from),
    destination: words(to),
    protocol: PROTOCOL.udp,
    ttl: 64,
    mark: 1,
    payloadBytes: bytes.length - OUTER_UDP,
  });
  if (what === 'ce') view.setUint8(1, 3); // whoever sends a whole packet has its checksum made
  return bytes;
}

function writeInner(view: DataView, { innerFrom, innerTo, what }: DatagramFields): void {
  const own = what.startsWith('from=') ? what.slice(5) : undefined;
  writeIp(view, INNER, {
    family: 4,
    source: words(what === 'source' ? FOREIGN : (own ?? innerFrom)),
    destination: words(what === 'destination' ? FOREIGN : innerTo),
    protocol: what === 'udp' ? PROTOCOL.udp : PROTOCOL.tcp,
    ttl: 64,
    mark: 1,
    payloadBytes: 20,
  });
  view.setUint8(INNER + 20 + 12, 0x50);
}

function writeOverlay(view: DataView, { mac, what }: DatagramFields): void {
  const target = what === 'mac' ? { high: 0x02000000, low: 7 } : mac;
  const peer = { high: 0x02000000, low: 9 };
  writeVxlan(view, OUTER_VXLAN, what === 'vni' ? 2 : 1, target, peer, ETHERTYPE.ipv4);
  if (what === 'flags') view.setUint8(OUTER_VXLAN, 0);
  if (what === 'type') view.setUint16(OUTER_VXLAN + VXLAN.etherType, 0x0806);
}
