/** /reach: who reaches whom, by a round of echoes that is some seconds old at most. */
import * as z from 'zod';
import { family, nodeName, text } from './values.ts';

export const reachNodeShape = z.object({
  key: text('of its lease'),
  name: text(
    'n1, n2, … in the order of the public addresses: the same on every node that sees the same leases',
  ),
  nodeName,
  subnet: text('the first of its subnets'),
  subnets: z.array(z.string()).describe('IPv4 first'),
  publicIps: z.array(z.string()).describe('IPv4 first'),
  self: z.boolean().describe('the node that was asked'),
  kind: z
    .enum(['weft', 'other', 'unknown'])
    .describe(
      'weft: its row is known · other: it answers echoes, but no weftd answers on the port · unknown: neither',
    ),
  mtu: z
    .int()
    .nullable()
    .describe('that it gives its pods, bytes, as it says itself; null: not known'),
  version: z
    .string()
    .nullable()
    .optional()
    .describe('of its weft, as it says itself; null: not known'),
  via: z
    .string()
    .nullable()
    .describe('key of the node through which its row came; null: from itself'),
});
export type ReachNode = z.infer<typeof reachNodeShape>;

export const reachCellShape = z.object({
  from: text('key'),
  to: text('key'),
  state: z.enum(['ok', 'lost', 'unknown']),
  rttMs: z.number().nullable().describe('of the first address family that answers'),
  lossRatio: z.number().nullable().describe('0 to 1'),
  lostFamilies: z.array(family).describe('without an answer, where state is lost'),
});
export type ReachCell = z.infer<typeof reachCellShape>;

export const reachShape = z.object({
  nodes: z.array(reachNodeShape),
  cells: z.array(reachCellShape),
  complete: z.boolean().describe("false: only this node's row and the lost cells are listed"),
});
export type ReachPage = z.infer<typeof reachShape>;
