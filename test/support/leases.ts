/** What made-up nodes publish. */
import type { LeaseAttributes } from '../../src/cluster/lease/lease.ts';
import { words } from './rig.ts';

export const attributes = (ip: string): LeaseAttributes => ({
  publicIp4: words(ip),
  backendType: 'vxlan',
  backendData: { VNI: 1, VtepMAC: '02:00:00:00:00:05' },
});
