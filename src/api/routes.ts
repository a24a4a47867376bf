/** /routes: which way a packet to an address takes. */
import * as z from 'zod';
import { KINDS } from '../cluster/kinds/all.ts';
import { family, nodeName, text, whole } from './values.ts';

export const routesQueryShape = z.object({ address: text('an IP address') });

export const kernelRouteShape = z.object({
  device: z.string().nullable(),
  gateway: z.string().nullable(),
  source: z.string().nullable(),
  problem: z
    .string()
    .nullable()
    .describe('"unreachable", "blackhole" …, or what `ip` said; null for a route that can be used'),
});
export type KernelRoute = z.infer<typeof kernelRouteShape>;

const TUNNEL_TYPES = KINDS.flatMap((kind) => (kind.tunnel ? kind.type : []));

export const encapsulationShape = z.object({
  type: z.enum(TUNNEL_TYPES),
  source: z.string().nullable().describe('outer address of this node'),
  destination: text('outer address of the peer'),
  port: whole('UDP'),
  vni: whole('VXLAN only').optional(),
  sourceMac: z.string().nullable().optional().describe('VXLAN only: inner Ethernet'),
  destinationMac: z.string().optional().describe('VXLAN only: inner Ethernet'),
  overheadBytes: whole('in front of each packet'),
});
export type Encapsulation = z.infer<typeof encapsulationShape>;

export const routeShape = z.object({
  address: text('that was asked for'),
  family,
  way: z
    .enum(['outside', 'own', 'unleased', 'peer', 'direct'])
    .describe(
      "outside: of the overlay · own: this node's own subnet · unleased: by any node · peer: to it, encapsulated · direct: to it, by a plain route",
    ),
  network: z.string().nullable().describe('the overlay in this family'),
  ownSubnet: z.string().nullable(),
  peer: z
    .object({ key: z.string(), nodeName, subnet: z.string(), publicIp: z.string() })
    .nullable()
    .describe('whose subnet the address is in'),
  kernel: kernelRouteShape.describe("the kernel's route to the address"),
  encapsulation: encapsulationShape.nullable().describe('with way "peer"'),
  underlay: kernelRouteShape.nullable().describe('with way "peer": the route to the peer'),
  mtu: z.int().nullable().describe('of the overlay\'s device, bytes; with way "peer"'),
  podMtu: whole('bytes'),
});
export type RoutePage = z.infer<typeof routeShape>;
