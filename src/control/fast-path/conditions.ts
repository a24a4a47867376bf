/** What the host must be like for the fast path: its datagrams pass no netfilter hook, no IPsec and no fragmentation. */
import type { DeviceFrames } from '../../host/egress.ts';
import type { Exec } from '../../host/exec.ts';
import { ruleAboutUdpPort } from '../../host/firewall/port-rules.ts';
import type { News } from '../../host/kernel-news.ts';
import type { SourceCheck } from '../../memory/worker-task.ts';
import { printable } from '../../shared/printable.ts';

const RULE_CHARACTERS_MAX = 100;

/** The host's rules, read again when they may have changed: a look for another reason does not list ten thousand of them. */
export class PortRule {
  private rule = '';
  private readAtMs = Number.NEGATIVE_INFINITY;
  private isOld = true;

  hear(news: readonly News[]): void {
    this.isOld ||= news.some(({ about }) => about === 'firewall' || about === 'lost');
  }

  /** As ruleAboutUdpPort; what was read in the last `believedMs` and not announced to have changed is not read again. */
  async read(port: number, believedMs: number, run?: Exec): Promise<string> {
    const nowMs = performance.now();
    if (!this.isOld && nowMs - this.readAtMs < believedMs) return this.rule;
    // What is announced meanwhile makes it old again.
    this.isOld = false;
    try {
      this.rule = await ruleAboutUdpPort(port, run);
    } catch (error) {
      this.isOld = true;
      throw error;
    }
    this.readAtMs = nowMs;
    return this.rule;
  }
}

/** Why no device of this host may be used, '' if some may. */
export function reasonAgainstHost(
  { port, sourceCheck }: { port: number; sourceCheck: SourceCheck },
  host: { policies: number | undefined; rule: string },
): string {
  if (sourceCheck !== 'lease') return `--source-check=${sourceCheck}: the programs check by lease`;
  if (host.policies) return 'this host has an IPsec policy, which its packets would pass by';
  if (host.rule === '') return '';
  return `a firewall rule looks at UDP port ${port}, and its packets would pass it by: ${printable(host.rule, RULE_CHARACTERS_MAX)}`;
}

/** Why this device may not be used, '' if it may. `neededMtu`: of the largest datagram. */
export function reasonAgainstDevice({ isEthernet, mtu }: DeviceFrames, neededMtu: number): string {
  if (!isEthernet) return 'its frames are not Ethernet';
  return mtu < neededMtu ? `its MTU is ${mtu}, less than ${neededMtu}` : '';
}
