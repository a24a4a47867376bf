/** IPsec on this host. */
import { getSystemErrorName } from 'node:util';
import type { Addon } from '../memory/addon.ts';

/** Whether packets are encrypted or refused by a policy: of whom is not asked. Throws when the kernel doesn't say. */
export function hasIpsecPolicy(addon: Pick<Addon, 'ipsecPolicies'>): boolean {
  const count = addon.ipsecPolicies();
  if (count < 0) throw new Error(`IPsec policies: no answer (${getSystemErrorName(count)})`);
  return count > 0;
}
