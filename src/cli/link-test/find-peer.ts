/** From what the user calls a peer to the two addresses to test. */
import {
  formatAddress,
  formatPrefix,
  parseAddress,
  parsePrefix,
  prefixContains,
} from '../../shared/address.ts';
import type { NamedPeers } from '../pages.ts';
import { BenchError } from './protocol.ts';

const NEAR_MAX = 5;

type PeerName = NamedPeers['peers'][number];

export interface FoundPeer {
  key: string;
  family: 4 | 6;
  subnet: string;
  underlay: string;
  /** the device address: the first one of the subnet */
  overlay: string;
}

/**
 * Finds a node by lease key, subnet, public address or any address inside its subnet.
 * Without a family: IPv4 if the node has it. Throws BenchError that lists what it could have been.
 */
export function findPeer({ peers }: NamedPeers, text: string, family?: 4 | 6): FoundPeer {
  const keys = new Set(peers.filter((peer) => isMeant(peer, text)).map((peer) => peer.key));
  if (keys.size === 0) throw new BenchError(notFound(peers, text));
  if (keys.size > 1)
    throw new BenchError(`"${text}" is more than one peer (${[...keys].join(', ')}); give the key`);
  const node = peers.filter((peer) => keys.has(peer.key)).sort((a, b) => a.family - b.family);
  const peer = node.find((each) => family === undefined || each.family === family);
  if (!peer)
    throw new BenchError(`peer ${[...keys][0]} has no IPv${family} subnet in this overlay`);
  const subnet = parsePrefix(peer.subnet);
  if (!subnet) throw new BenchError(`weftd names a subnet that is none: ${peer.subnet}`);
  return {
    key: peer.key,
    family: peer.family,
    subnet: peer.subnet,
    underlay: peer.publicIp,
    overlay: formatAddress(subnet.words),
  };
}

function isMeant(peer: PeerName, text: string): boolean {
  if (peer.key === text) return true;
  const subnet = parsePrefix(peer.subnet);
  const asPrefix = parsePrefix(text);
  if (asPrefix) return formatPrefix(asPrefix) === peer.subnet;
  const address = parseAddress(text);
  if (!address || !subnet) return false;
  return prefixContains(subnet, address) || formatAddress(address) === peer.publicIp;
}

function notFound(peers: readonly PeerName[], text: string): string {
  if (peers.length === 0) return `no peer "${text}": this node has no peers at all`;
  const likeness = (peer: PeerName): number =>
    Math.max(...[peer.key, peer.subnet, peer.publicIp].map((name) => sameStart(name, text)));
  const near = [...peers]
    .sort((a, b) => likeness(b) - likeness(a))
    .slice(0, NEAR_MAX)
    .map((peer) => `  ${peer.key}  ${peer.subnet}  ${peer.publicIp}`);
  const count = near.length < peers.length ? `the nearest of ${peers.length}` : 'all there are';
  return `no peer "${text}"; peers (${count}; see also "weft peers"):\n${near.join('\n')}`;
}

function sameStart(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}
