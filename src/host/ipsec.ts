/** IPsec on this host. */
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import type { Addon } from '../memory/addon.ts';

/** How many policies encrypt or refuse packets: of whom is not asked. Undefined without IPsec; throws when the kernel doesn't say. */
export function ipsecPolicies(addon: Pick<Addon, 'ipsecPolicies'>): number | undefined {
  const count = addon.ipsecPolicies();
  if (count === -constants.errno.EPROTONOSUPPORT) return undefined;
  if (count < 0) throw new Error(`IPsec policies: no answer (${getSystemErrorName(count)})`);
  return count;
}
