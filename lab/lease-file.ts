/** Leases as flannel's store keeps them, written and read without weft's own code: tests must not be circular. */
import { type Prefix, prefixLength } from '../src/shared/address.ts';
import { addressInSubnet } from './node.ts';

/** Backend.Type of the overlays in which a kernel node takes part, and BackendType of its lease. */
export const KERNEL_BACKEND = 'vxlan';

/** What a vxlan node publishes about itself. */
export interface VxlanLease {
  subnet4?: Prefix;
  subnet6?: Prefix;
  publicIp?: string;
  publicIpv6?: string;
  vtepMac?: string;
  vtepMacV6?: string;
}

/** Name of the lease in `<store>/subnets/`; an IPv6-only node has flannel's empty IPv4 part. */
export function leaseKey(lease: VxlanLease): string {
  const part = (subnet: Prefix): string => `${addressInSubnet(subnet, 0)}-${prefixLength(subnet)}`;
  const first = lease.subnet4 ? part(lease.subnet4) : '0.0.0.0-0';
  return lease.subnet6 ? `${first}&${part(lease.subnet6)}` : first;
}

/** The value, byte for byte as flanneld marshals it (VNI 1). */
export function leaseValue(lease: VxlanLease): string {
  const data = (mac: string): object => ({ VNI: 1, VtepMAC: mac });
  return JSON.stringify({
    PublicIP: lease.publicIp ?? '0.0.0.0',
    PublicIPv6: lease.publicIpv6 ?? null,
    BackendType: KERNEL_BACKEND,
    ...(lease.vtepMac === undefined ? {} : { BackendData: data(lease.vtepMac) }),
    ...(lease.vtepMacV6 === undefined ? {} : { BackendV6Data: data(lease.vtepMacV6) }),
  });
}

/** A peer's lease in one family, ready to be programmed. */
export interface PeerEntry {
  family: 4 | 6;
  /** network address of the subnet */
  network: string;
  length: string;
  publicIp: string;
  mac: string;
}

/** What a key and its value ask for; nothing when either is junk or not vxlan. */
export function peerEntries(key: string, value: string): PeerEntry[] {
  const match = /^(\d+(?:\.\d+){3})-(\d+)(?:&([0-9a-f:]+)-(\d+))?$/i.exec(key);
  const lease = parseValue(value);
  if (!match || lease?.['BackendType'] !== KERNEL_BACKEND) return [];
  const [, net4, len4, net6, len6] = match;
  return [
    ...entry(4, net4, len4, lease['PublicIP'], lease['BackendData']),
    ...entry(6, net6, len6, lease['PublicIPv6'], lease['BackendV6Data']),
  ];
}

function parseValue(value: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === 'object' && parsed !== null
      ? (parsed as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function entry(
  family: 4 | 6,
  network: string | undefined,
  length: string | undefined,
  publicIp: unknown,
  data: unknown,
): PeerEntry[] {
  const mac = (data as { VtepMAC?: unknown } | null | undefined)?.VtepMAC;
  if (network === undefined || length === undefined) return [];
  if (typeof publicIp !== 'string' || typeof mac !== 'string') return [];
  return [{ family, network, length, publicIp, mac }];
}
