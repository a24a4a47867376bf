/** /ping?peer=KEY&family=&count=&size=&timeout=: echoes to one peer, one after the other. */
import { type Echo, type PingPage, pingQueryShape } from '../../../api/ping.ts';
import { parseQuery } from '../../../api/query.ts';
import { nodeNameOf } from '../../../cluster/registry.ts';
import { formatAddress } from '../../../shared/address.ts';
import type { Node } from '../../node.ts';
import { reachOf } from './reach.ts';

export async function pingPage(node: Node, query: URLSearchParams): Promise<PingPage> {
  const reach = reachOf(node);
  const { peer: key, family, count, size, timeout } = parseQuery(pingQueryShape, query, '/ping: ');
  const ways = node.peers.filter((peer) => peer.key === key);
  const peer = ways.find((way) => family === undefined || way.family === Number(family));
  if (!peer) throw new Error(`no peer "${key}"${family ? ` with IPv${family}` : ''}`);
  const echoes: Echo[] = [];
  for (let i = 0; i < count; i++) {
    const options = { payloadBytes: size, timeoutMs: timeout };
    echoes.push(await reach.echo.send(peer.subnet.words, options));
  }
  const address = formatAddress(peer.subnet.words);
  const device = node.backend?.status().devices.find((each) => each.family === peer.family);
  return {
    peer: {
      key,
      nodeName: nodeNameOf(node.registry, key),
      family: peer.family,
      address,
      publicIp: formatAddress(peer.address),
    },
    size,
    deviceMtu: device?.mtu ?? null,
    podMtu: node.backend?.podMtu() ?? null,
    underlayMtu: node.external?.mtu ?? null,
    echoes,
  };
}
