/** Shapes of values that options of backends have in common. Absent is the default. */
import * as z from 'zod';

export const COUNT = z.number().int().nonnegative();
/** 0 = the kind's usual one */
export const PORT = COUNT.max(65535).default(0);
export const FLAG = z.boolean().default(false);
/** "" = none */
export const COMMAND = z.string().default('');
