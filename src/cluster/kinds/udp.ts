/** udp: pods' IPv4 packets as they are, in UDP (flannel pkg/backend/udp). */
import { NO_MAC } from '../../shared/address.ts';
import { overheadBytes } from '../../wire/overhead.ts';
import type { Kind } from './kind.ts';
import { PORT } from './option.ts';

export interface UdpConfig {
  type: 'udp';
  /** 8285 unless set */
  port: number;
}

const USUAL_PORT = 8285;
const options = { Port: PORT };

export const UDP_KIND: Kind<UdpConfig, typeof options> = {
  type: 'udp',
  publishes: '',
  label: 'flannel-UDP',
  options,
  families: [4],

  parse: ({ port }) => ({ type: 'udp', port: port || USUAL_PORT }),

  overheadBytes: (family) => overheadBytes('udp', family),
  outerMtu: () => undefined,

  devices: { linkKind: 'tun', names: /^flannel0$/, name: () => 'flannel0' },

  peerData: ({ port }) => ({ port, mac: NO_MAC }),

  tunnel: ({ port }) => ({
    encap: { kind: 'udp', port },
    // as flannel's own proxy
    sockets: { anyAddress: false, spreadsFlows: false, dontFragment: true },
    directRouting: false,
    warnings: [],
  }),
};
