/** /config: the options in force with their origin, and the network config as it was understood. Holds no secrets. */
import * as z from 'zod';
import { text, whole } from './values.ts';

export const optionShape = z.object({
  name: text('of the flag'),
  value: z
    .union([z.string(), z.boolean(), z.number(), z.array(z.string())])
    .describe('"(secret)" for one that is set and must not be shown'),
  origin: z.enum(['flag', 'environment', 'default']),
  environment: text('the variable that sets it'),
});
export type OptionEntry = z.infer<typeof optionShape>;

export const rangeShape = z.object({
  network: text('10.244.0.0/16'),
  subnetLength: whole('bits of each lease'),
  subnetMin: text('first subnet to hand out'),
  subnetMax: text('last subnet to hand out'),
});
export type Range = z.infer<typeof rangeShape>;

export const configShape = z.object({
  options: z.array(optionShape),
  networkConfigPlace: text('where the cluster keeps it'),
  networkConfig: z
    .object({
      nftables: z.boolean().describe('rules by nft instead of iptables, where both are installed'),
      ipv4: rangeShape.nullable(),
      ipv6: rangeShape.nullable(),
      backend: z.looseObject({ type: z.string() }).describe('Backend.Type and its options'),
    })
    .nullable()
    .describe('null until it is read'),
});
export type ConfigPage = z.infer<typeof configShape>;
