/** A lease: which node holds which pod subnet, and how to reach it. Codec in key.ts and value.ts. */
import type { Prefix, Words } from '../../shared/address.ts';

export interface LeaseSubnets {
  /** pod subnet; absent in an IPv6-only cluster */
  subnet4?: Prefix;
  subnet6?: Prefix;
}

/** The value of a lease key (flannel pkg/lease LeaseAttrs). */
export interface LeaseAttributes {
  publicIp4?: Words;
  publicIp6?: Words;
  /** "" for udp */
  backendType: string;
  /** raw JSON values as stored, undefined when absent */
  backendData?: unknown;
  backendV6Data?: unknown;
}

export interface Lease extends LeaseSubnets {
  key: string;
  attributes: LeaseAttributes;
  /** a reservation: never renewed, never converted */
  isPermanent: boolean;
  /** known of our own lease, and of all where the store's list tells it */
  expiresAtMs?: number;
  revision: string;
}
