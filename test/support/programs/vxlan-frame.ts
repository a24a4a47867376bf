/**
 * Sends one VXLAN datagram with TCP in it, or one that is odd in one way:
 * node vxlan-frame.js FROM TO MAC INNER-FROM INNER-TO plain|vni|flags|mac|type|cut|ce|destination|source|from=ADDRESS|padded|udp [COUNT]
 */
import { parseAddress, parseMac, type Words } from '../../../src/shared/address.ts';
import { writeIp, writeUdp, writeVxlan } from '../../../src/wire/headers.ts';
import { PROTOCOL } from '../../../src/wire/ip.ts';
import { ETHERTYPE, VXLAN } from '../../../src/wire/vxlan.ts';
import { RawSender } from '../raw-sender.ts';

const [from = '', to = '', mac = '', innerFrom = '', innerTo = '', what = '', count = '1'] =
  process.argv.slice(2);
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

const ownMac = parseMac(mac);
if (!ownMac) throw new Error(`no MAC: ${mac}`);
const bytes = Buffer.alloc(INNER + INNER_BYTES + (what === 'padded' ? 6 : 0));
const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
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
const vni = what === 'vni' ? 2 : 1;
const peerMac = { high: 0x02000000, low: 9 };
const target = what === 'mac' ? { high: 0x02000000, low: 7 } : ownMac;
writeVxlan(view, OUTER_VXLAN, vni, target, peerMac, ETHERTYPE.ipv4);
if (what === 'flags') view.setUint8(OUTER_VXLAN, 0);
if (what === 'type') view.setUint16(OUTER_VXLAN + VXLAN.etherType, 0x0806);
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
const sender = new RawSender();
for (let i = 0; i < Number(count); i++) {
  const result = sender.send(bytes);
  if (result !== 0) throw new Error(`not sent: ${result}`);
}
sender.close();
