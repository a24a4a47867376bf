/** /ping?peer=KEY&family=&count=&size=&timeout=: echoes to one peer, one after the other. */
import { z } from 'zod';
import { LAYOUT } from '../../../memory/layout.ts';
import { formatAddress } from '../../../shared/address.ts';
import type { Node } from '../../node.ts';
import type { EchoResult } from '../../reach/echo.ts';
import { reachOf } from './reach.ts';

const whole = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
const queryShape = z.object({
  peer: z.string().max(100),
  family: z.enum(['4', '6']).optional(),
  count: whole(1, 10).default(1),
  /** bytes behind the echo header */
  size: whole(LAYOUT.echoTokenBytes, LAYOUT.echoPayloadMax).default(56),
  /** ms for each */
  timeout: whole(10, 4_000).default(1_000),
});

export async function pingPage(node: Node, query: URLSearchParams): Promise<object> {
  const reach = reachOf(node);
  const { peer: key, family, count, size, timeout } = parseQuery(query);
  const ways = node.peers.filter((peer) => peer.key === key);
  const peer = ways.find((way) => family === undefined || way.family === Number(family));
  if (!peer) throw new Error(`no peer "${key}"${family ? ` with IPv${family}` : ''}`);
  const echoes: EchoResult[] = [];
  for (let i = 0; i < count; i++) {
    const options = { payloadBytes: size, timeoutMs: timeout };
    echoes.push(await reach.echo.send(peer.subnet.words, options));
  }
  const address = formatAddress(peer.subnet.words);
  const device = node.backend?.status().devices.find((each) => each.family === peer.family);
  return {
    peer: { key, family: peer.family, address, publicIp: formatAddress(peer.address) },
    size,
    deviceMtu: device?.mtu ?? null,
    podMtu: node.backend?.podMtu() ?? null,
    underlayMtu: node.external?.mtu ?? null,
    echoes,
  };
}

function parseQuery(query: URLSearchParams): z.infer<typeof queryShape> {
  const parsed = queryShape.safeParse(Object.fromEntries(query));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Error(`/ping: ${issue?.path.join('.')}: ${issue?.message}`);
}
