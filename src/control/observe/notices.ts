/**
 * Which health warnings the people of the cluster are told where they look (events on a Kubernetes Node): what is wrong with this node
 * itself and takes somebody's hand. Not what a peer or the store does, which every node would say at the same moment, and not what a
 * stranger's packets can cause.
 */
import type { Notice } from '../../cluster/registry.ts';
import type { HealthWarning } from './health-warnings.ts';

const TOLD: ReadonlySet<string> = new Set([
  'address-taken',
  'worker-stuck',
  'worker-restarts',
  'firewall-missing',
  'forwarding-off',
  'routes-refused',
  'host-not-repaired',
  'mtu-mismatch',
  'overlay-address-taken',
  'foreign-address',
  'bridge-stale',
  'underlay-moved',
  'route-shadowed',
]);

export class Notices {
  private shown: ReadonlySet<string> = new Set();

  /** Of warnings that are shown now and were not at the look before. */
  newOf(warnings: readonly HealthWarning[]): Notice[] {
    const before = this.shown;
    this.shown = new Set(warnings.map(({ code }) => code));
    return warnings.filter(({ code }) => TOLD.has(code) && !before.has(code)).map(noticeOf);
  }
}

function noticeOf({ code, title, text, advice }: HealthWarning): Notice {
  return { reason: reasonOf(code), isWarning: true, text: `${title}: ${text}. ${advice}` };
}

/** "mtu-mismatch" is MtuMismatch. */
export function reasonOf(code: string): string {
  return code.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
