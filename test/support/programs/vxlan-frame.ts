/**
 * Sends one VXLAN datagram with TCP in it, or one that is odd in one way, so many times:
 * node vxlan-frame.js FROM TO MAC INNER-FROM INNER-TO WHAT [COUNT]; WHAT is as in vxlan-datagram.ts
 */
import { parseMac } from '../../../src/shared/address.ts';
import { RawSender } from '../raw-sender.ts';
import { vxlanDatagram } from '../vxlan-datagram.ts';

const [from = '', to = '', mac = '', innerFrom = '', innerTo = '', what = '', count = '1'] =
  process.argv.slice(2);
const ownMac = parseMac(mac);
if (!ownMac) throw new Error(`no MAC: ${mac}`);
const bytes = vxlanDatagram({ from, to, mac: ownMac, innerFrom, innerTo, what });
const sender = new RawSender();
for (let i = 0; i < Number(count); i++) {
  const result = sender.send(bytes);
  if (result !== 0) throw new Error(`not sent: ${result}`);
}
sender.close();
