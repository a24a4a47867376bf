/** What every page answers instead when it can not: 400, 404 and 405 have the same shape. */
import * as z from 'zod';
import { text } from './values.ts';

export const errorShape = z.object({
  error: text('what is wrong, for people'),
  pages: z.array(z.string()).optional().describe('with 404: the paths that there are'),
});
export type ErrorAnswer = z.infer<typeof errorShape>;
