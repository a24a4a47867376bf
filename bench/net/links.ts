/** The underlays that a pair of nodes is joined by. */
import type { LinkId, LinkInfo } from './result.ts';

export interface Link extends LinkInfo {
  /** as the lab's fabric has them */
  offloads: 'on' | 'wire';
  underlayMtu: number;
  /** of pods and underlay */
  family: 4 | 6;
  /** every data plane and kind of work is measured on it; on the others the core planes, with the main kinds of work */
  main: boolean;
}

const VETH = 'veth: offloads on, super-packets cross by reference';
const WIRE =
  'wire: no segmentation offload on the underlay, packets have MTU size and a queue to wait in';

function link(id: LinkId, label: string, more: Partial<Link> = {}): Link {
  const offloads = id.startsWith('wire') ? 'wire' : 'on';
  return { id, label, offloads, underlayMtu: 1500, family: 4, main: false, ...more };
}

export const LINKS: readonly Link[] = [
  link('veth', VETH, { main: true }),
  link('wire', WIRE, { main: true }),
  link('veth-9000', `${VETH}; underlay MTU 9000`, { underlayMtu: 9000 }),
  link('wire-9000', `${WIRE}, which is 9000`, { underlayMtu: 9000 }),
  link('veth-ipv6', `${VETH}; pods and underlay speak IPv6`, { family: 6 }),
  link('wire-ipv6', `${WIRE}; pods and underlay speak IPv6`, { family: 6 }),
];
