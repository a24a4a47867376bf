/** What the backend that a daemon names means for the MTU. */
import { kindNamed } from '../../cluster/kinds/all.ts';

/** Bytes in front of a pod's packet in the underlay. */
export function overheadOf(backend: string, family: 4 | 6): number {
  return kindNamed(backend)?.overheadBytes(family) ?? 0;
}

/** How to make the underlay carry packets of this size. */
export function mtuAdvice(backend: string, underlay: string, outerBytes: number): string {
  const hasOption = 'MTU' in (kindNamed(backend)?.options ?? {});
  const setting = hasOption ? 'Backend.MTU in the network config, or ' : '';
  return `set ${setting}the MTU of ${underlay} on every node, to ${outerBytes}, then restart weftd and the pods`;
}
