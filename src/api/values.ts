/**
 * Kinds of values that pages are made of. A key's last word is its unit where there is one (`rttMs`, `sentBytes`); where it can not
 * be, the meaning says it.
 */
import * as z from 'zod';

/** An address family of the overlay. */
export const family = z.literal([4, 6]);

/** Packets, bytes, nanoseconds …, counted since some start: whole numbers that are exact up to 2^53 only. */
export function amount(meaning: string) {
  return z.number().nonnegative().describe(meaning);
}

/** Counts by name. */
export function amounts(meaning: string) {
  return z.record(z.string(), z.number()).describe(meaning);
}

/** Something that there are few of, or a size that has a limit. */
export function whole(meaning: string) {
  return z.int().nonnegative().describe(meaning);
}

/** RFC 3339, in UTC. */
export function time(meaning: string) {
  return z.string().meta({ format: 'date-time', description: meaning });
}

/** Of a node, where the store gives nodes names: only Kubernetes does. Older daemons do not say it. */
export const nodeName = z
  .string()
  .nullable()
  .optional()
  .describe("the node's name in Kubernetes; null with other stores, where nodes have no names");

export function text(meaning: string) {
  return z.string().describe(meaning);
}
