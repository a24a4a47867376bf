/** What every node of a lab has, whichever data plane it runs. */
import {
  formatAddress,
  type Prefix,
  parsePrefix,
  prefixLength,
  type Words,
} from '../src/shared/address.ts';
import type { UnderlayAddress } from './fabric.ts';
import type { Namespace } from './namespace.ts';

/** other: a data plane that the lab does not start itself */
export type NodeKind = 'weft' | 'kernel' | 'other';

export interface LabNode {
  /** "n1" */
  readonly name: string;
  readonly kind: NodeKind;
  readonly namespace: Namespace;
  readonly underlay: UnderlayAddress;
  /** known once it has started */
  readonly network: NodeNetwork;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** The node's share of the overlay. */
export interface NodeNetwork {
  subnet4?: Prefix;
  subnet6?: Prefix;
  /** MTU for pods */
  mtu: number;
}

/** The address `offset` above the network address of a subnet. */
export function addressInSubnet(subnet: Prefix, offset: number): string {
  const [a, b, c, d] = subnet.words;
  return formatAddress([a, b, c, (d + offset) | 0] as Words);
}

/** Address with the prefix length behind it. */
export function withLength(subnet: Prefix, offset: number): string {
  return `${addressInSubnet(subnet, offset)}/${prefixLength(subnet)}`;
}

/** Parses a prefix that the lab itself made or a daemon must have written correctly. */
export function mustParsePrefix(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (!prefix) throw new Error(`not a prefix: ${JSON.stringify(text)}`);
  return prefix;
}
