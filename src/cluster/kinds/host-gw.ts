/** host-gw: plain routes through the underlay, so nothing is put in front of a packet (flannel pkg/backend/hostgw). */
import { NO_MAC } from '../../shared/address.ts';
import type { Kind } from './kind.ts';

export interface HostGatewayConfig {
  type: 'host-gw';
}

export const HOST_GATEWAY_KIND: Kind<HostGatewayConfig> = {
  type: 'host-gw',
  publishes: 'host-gw',
  label: '',
  options: {},
  families: [4, 6],
  parse: () => ({ type: 'host-gw' }),
  overheadBytes: () => 0,
  outerMtu: () => undefined,
  peerData: () => ({ port: 0, mac: NO_MAC }),
};
