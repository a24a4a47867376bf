/** flannel-UDP: the UDP payload is one raw IPv4 packet (flannel's udp backend); no header, no checksum, no version. */
import { DROP } from '../../memory/drops.ts';
import type { Encap } from './encap.ts';

export class FlannelUdpEncap implements Encap {
  readonly headerBytes = 0;
  readonly lowersTtl = true;
  readonly port: number;

  constructor(port: number) {
    this.port = port;
  }

  push(): void {
    // nothing goes in front of the packet
  }

  pull(view: DataView, at: number, length: number): number {
    if (length < 20) return -1 - DROP.inTruncated;
    return view.getUint8(at) >>> 4 === 4 ? 0 : -1 - DROP.inNotIp;
  }
}
