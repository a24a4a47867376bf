/** flannel-UDP: the UDP payload is one raw IPv4 packet (flannel's udp backend); no header, no checksum, no version. */
import { DROP } from '../../memory/drops.ts';
import type { FlannelUdpTask, LinkTask } from '../../memory/worker-task.ts';
import type { Prefix } from '../../shared/address.ts';
import type { RouteTable } from '../routes/table.ts';
import type { Encap } from './encap.ts';
import { findSender } from './sender-address.ts';

export class FlannelUdpEncap implements Encap {
  readonly headerBytes = 0;
  readonly tailBytes = 0;
  readonly lowersTtl = true;
  readonly port: number;
  private readonly network: Prefix;
  private readonly table: RouteTable;

  constructor(task: FlannelUdpTask, link: Pick<LinkTask, 'network'>, table: RouteTable) {
    this.port = task.port;
    this.network = link.network;
    this.table = table;
  }

  sender(_view: DataView, rows: Int32Array, row: number): number {
    return findSender(this.table, this.network, rows, row);
  }

  push(): void {
    // nothing goes in front of the packet
  }

  pull(view: DataView, at: number, length: number): number {
    if (length < 20) return -1 - DROP.inTruncated;
    return view.getUint8(at) >>> 4 === 4 ? 0 : -1 - DROP.inNotIp;
  }
}
