/** What `ip -j` prints, checked where it comes in: what is read here must be there, everything else is ignored. */
import * as z from 'zod';
import { EXIT, messageOf, WeftError } from '../shared/errors.ts';
import { type Exec, exec } from './exec.ts';

/** `ip link`; linkinfo with -d, stats64 with -s. */
export const LINK = z.object({
  ifindex: z.number(),
  ifname: z.string(),
  flags: z.array(z.string()),
  mtu: z.number(),
  /** what its frames are: ether, none, ppp, … */
  link_type: z.string().optional(),
  /** of the other end, as its namespace counts; and that there is another namespace */
  link_index: z.number().optional(),
  link_netnsid: z.number().optional(),
  /** the device below it, of those that have one; another end's where that is in this namespace */
  link: z.string().nullable().optional(),
  /** which hardware it is */
  parentdev: z.string().optional(),
  /** length of its queue; none is not shown */
  txqlen: z.number().optional(),
  /** MAC; of a tunnel its address */
  address: z.string().optional(),
  /** of which bridge, bond or VRF it is a part */
  master: z.string().optional(),
  linkinfo: z
    .object({
      info_kind: z.string().optional(),
      /** each kind has fields of its own */
      info_data: z.record(z.string(), z.unknown()).optional(),
    })
    .optional(),
  /** whether the device gives itself IPv6 addresses, and how; with -d */
  inet6_addr_gen_mode: z.string().optional(),
  stats64: z.object({ tx: z.object({ packets: z.number(), dropped: z.number() }) }).optional(),
});
export type Link = z.infer<typeof LINK>;

const ADDRESS = z.object({
  family: z.string(),
  local: z.string(),
  prefixlen: z.number(),
  scope: z.string(),
  deprecated: z.boolean().optional(),
  /** another node answered to it */
  dadfailed: z.boolean().optional(),
  /** whether another node has it is still being asked */
  tentative: z.boolean().optional(),
  dynamic: z.boolean().optional(),
  temporary: z.boolean().optional(),
});
export type LinkAddress = z.infer<typeof ADDRESS>;

/** `ip addr` */
export const ADDRESSED_LINK = LINK.extend({ addr_info: z.array(ADDRESS) });
export type AddressedLink = z.infer<typeof ADDRESSED_LINK>;

/** `ip route`; a host route's dst comes without its length. */
export const ROUTE = z.object({
  /** unicast is not shown */
  type: z.string().optional(),
  dst: z.string(),
  gateway: z.string().optional(),
  dev: z.string().optional(),
  prefsrc: z.string().optional(),
  protocol: z.string().optional(),
  /** 0 is not shown */
  metric: z.number().optional(),
  /** of the route itself, and what was found out about the path */
  metrics: z.array(z.object({ mtu: z.number().optional() })).optional(),
});
export type IpRoute = z.infer<typeof ROUTE>;

/** `ip -j …` as a list of what `shape` says. Throws as {@link exec} and {@link parseIpJson} do. */
export async function ipJson<Shape extends z.ZodType>(
  shape: Shape,
  args: readonly string[],
  run: Exec = exec,
): Promise<z.infer<Shape>[]> {
  return parseIpJson(shape, await run('ip', ['-j', ...args]), `ip ${args.join(' ')}`);
}

/** What `ip -j` printed. Throws WeftError ERR_COMMAND_ANSWER that names the command and what is missing. */
export function parseIpJson<Shape extends z.ZodType>(
  shape: Shape,
  text: string,
  command: string,
): z.infer<Shape>[] {
  const refuse = (why: string, cause: unknown): never => {
    const message = `${command}: its answer is not understood: ${why}`;
    throw new WeftError('ERR_COMMAND_ANSWER', EXIT.os, message, cause);
  };
  try {
    return z.array(shape).parse(objectsIn(text));
  } catch (error) {
    const issue = error instanceof z.ZodError ? error.issues[0] : undefined;
    return refuse(issue ? `${issue.path.join('.')}: ${issue.message}` : messageOf(error), error);
  }
}

/** Older releases print an empty object in the place of each one that a filter leaves out. */
function objectsIn(text: string): unknown {
  const answer: unknown = text.trim() === '' ? [] : JSON.parse(text);
  const isEmpty = (each: unknown): boolean =>
    typeof each === 'object' && each !== null && Object.keys(each).length === 0;
  return Array.isArray(answer) ? answer.filter((each) => !isEmpty(each)) : answer;
}
