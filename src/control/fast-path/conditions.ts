/** What the host must be like for the fast path: its datagrams pass no netfilter hook, no IPsec and no fragmentation. */
import { type DeviceFrames, hasTunnelOffload } from '../../host/egress.ts';
import type { Exec } from '../../host/exec.ts';
import { ruleAboutUdpPort } from '../../host/firewall/port-rules.ts';
import { hasIpsecPolicy } from '../../host/ipsec.ts';
import type { Addon } from '../../memory/addon.ts';
import type { SourceCheck } from '../../memory/worker-task.ts';
import { printable } from '../../shared/printable.ts';

const RULE_CHARACTERS_MAX = 100;

/** Why no device of this host may be used, '' if some may. Throws when the host can't be asked. */
export async function reasonAgainstHost(
  addon: Pick<Addon, 'ipsecPolicies'>,
  { port, sourceCheck }: { port: number; sourceCheck: SourceCheck },
  run?: Exec,
): Promise<string> {
  if (sourceCheck !== 'lease') return `--source-check=${sourceCheck}: the programs check by lease`;
  if (hasIpsecPolicy(addon))
    return 'this host has an IPsec policy, which its packets would pass by';
  const rule = await ruleAboutUdpPort(port, run);
  if (rule === '') return '';
  return `a firewall rule looks at UDP port ${port}, and its packets would pass it by: ${printable(rule, RULE_CHARACTERS_MAX)}`;
}

/** Why this device may not be used, '' if it may. `neededMtu`: of the largest datagram. Throws when the device can't be asked. */
export function reasonAgainstDevice(
  addon: Pick<Addon, 'hasFeature'>,
  device: string,
  frames: DeviceFrames,
  neededMtu: number,
): string {
  if (!frames.isEthernet) return 'its frames are not Ethernet';
  if (frames.mtu < neededMtu) return `its MTU is ${frames.mtu}, less than ${neededMtu}`;
  return hasTunnelOffload(addon, device) ? '' : 'the device has no tunnel offload';
}
