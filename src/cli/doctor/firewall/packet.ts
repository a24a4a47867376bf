/** A sample packet: what a rule can see of it, and the hooks that it passes. */
import { formatAddress, type Words } from '../../../shared/address.ts';

/** `netdev`: as it comes from the device, `bridge`: in a bridge, `ip`: on its way through the IP stack. */
export type Layer = 'netdev' | 'bridge' | 'ip';
export interface Stop {
  layer: Layer;
  hook: 'ingress' | 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
}

export interface Packet {
  /** for people: "TCP from a pod into the overlay" */
  what: string;
  family: 4 | 6;
  from: Words;
  to: Words;
  /** whether that is an address of this host */
  isFromLocal: boolean;
  isToLocal: boolean;
  /** of TCP it is the SYN */
  protocol: 'tcp' | 'udp';
  sourcePort: number;
  port: number;
  /** '' where there is none, undefined where it can't be told */
  inDevice: string | undefined;
  outDevice: string | undefined;
  /** conntrack's; undefined where a rule may have changed it */
  state: 'new' | 'untracked' | undefined;
  mark: bigint | undefined;
  stops: readonly Stop[];
}

/** What samples have in common: the first packet of a connection, without a mark. */
export const FRESH = { state: 'new', mark: 0n, sourcePort: 49_321 } as const;

/** The way from device to device; those that are bridges have hooks of their own. */
export function stopsOf(
  way: 'input' | 'forward' | 'output',
  isInBridge: boolean,
  isOutBridge: boolean,
): Stop[] {
  const ip = (hook: Stop['hook']): Stop => ({ layer: 'ip', hook });
  const bridge = (hook: Stop['hook']): Stop => ({ layer: 'bridge', hook });
  const into: Stop[] = [
    { layer: 'netdev', hook: 'ingress' },
    ...(isInBridge ? [bridge('prerouting'), bridge('input')] : []),
    ip('prerouting'),
  ];
  const out = [
    ip('postrouting'),
    ...(isOutBridge ? [bridge('output'), bridge('postrouting')] : []),
  ];
  if (way === 'input') return [...into, ip('input')];
  return way === 'forward' ? [...into, ip('forward'), ...out] : [ip('output'), ...out];
}

export function renderPacket(packet: Packet): string {
  const { what, from, to, inDevice, outDevice, port } = packet;
  const devices = [inDevice, outDevice].filter(Boolean).join(' → ');
  return `${what} (${formatAddress(from)} → ${formatAddress(to)} port ${port}, ${devices})`;
}
