/** alloc: a subnet is leased and nothing is carried (flannel pkg/backend/alloc). */
import { NO_MAC } from '../../shared/address.ts';
import type { Kind } from './kind.ts';

export interface AllocConfig {
  type: 'alloc';
}

export const ALLOC_KIND: Kind<AllocConfig> = {
  type: 'alloc',
  publishes: '',
  label: '',
  options: {},
  families: [4, 6],
  parse: () => ({ type: 'alloc' }),
  overheadBytes: () => 0,
  outerMtu: () => undefined,
  peerData: () => ({ port: 0, mac: NO_MAC }),
};
