/** Nodes ask each other all the time whether they are reached: nobody waits for that. */
import type { Words } from '../shared/address.ts';
import { type IpHeader, isDestination, isSource, PROTOCOL } from '../wire/ip.ts';

/** Whether it is an ICMP packet from or to the overlay's device, which has the address `device`. */
export function isOwnEcho(header: IpHeader, device: Words): boolean {
  const isIcmp = header.protocol === PROTOCOL.icmp4 || header.protocol === PROTOCOL.icmp6;
  return isIcmp && (isSource(header, device) || isDestination(header, device));
}
