/** What is amiss on a node, for how long, and what to do about it: part of /status. */
import * as z from 'zod';
import { text, time } from './values.ts';

export const warningShape = z.object({
  code: text('does not change; docs/reference/health.md lists them'),
  severity: z.enum(['warning', 'critical']),
  title: text('a few words'),
  text: text('with the figures'),
  advice: text('what to do'),
  impactsConnectivity: z
    .boolean()
    .describe('pods that should reach each other do not, or not all of them'),
  since: time('when it began'),
});
export type HealthWarning = z.infer<typeof warningShape>;
