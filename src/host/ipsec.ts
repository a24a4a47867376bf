/** IPsec on this host. */
import { messageOf } from '../shared/errors.ts';
import { type Exec, exec } from './exec.ts';

/** Whether packets are encrypted or refused by a policy: of whom is not asked. Throws as {@link exec}. */
export async function hasIpsecPolicy(run: Exec = exec): Promise<boolean> {
  try {
    return (await run('ip', ['xfrm', 'policy', 'list'])).trim() !== '';
  } catch (error) {
    // A kernel without IPsec has no policy.
    if (/not supported/i.test(messageOf(error))) return false;
    throw error;
  }
}
