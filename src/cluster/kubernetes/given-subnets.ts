/** The network config of a cluster that gives each node its subnet: how subnets would be cut out of Network, nobody asks (as in flannel). */
import { STORE_VALUE_BYTES_MAX } from '../../shared/limits.ts';

const OF_ALLOCATION = /^(?:ipv6)?subnet(?:len|min|max)$/i;

/** The config without its options of allocation; text that is no config is left for the parser to refuse. */
export function withoutAllocation(text: string): string {
  if (text.length > STORE_VALUE_BYTES_MAX) return text;
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    return text;
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config)) return text;
  const kept = Object.entries(config).filter(([key]) => !OF_ALLOCATION.test(key));
  return JSON.stringify(Object.fromEntries(kept));
}
