/** What weft doctor answers: the promised shape of its --json. */
import * as z from 'zod';
import { SCHEMA_VERSION } from '../../api/version.ts';

export const answerShape = z.looseObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  /** where the settings that were judged come from */
  settings: z.string(),
  /** what the whole answer lacks; absent where nothing */
  notice: z.string().optional(),
  checks: z.array(
    z.looseObject({
      id: z.string(),
      group: z.string(),
      status: z.enum(['ok', 'warn', 'fail', 'skipped']),
      severity: z.enum(['fail', 'warn', 'info']),
      title: z.string(),
      text: z.string(),
      fix: z.string().nullable(),
    }),
  ),
  summary: z.looseObject({
    ok: z.number(),
    warn: z.number(),
    fail: z.number(),
    skipped: z.number(),
  }),
});
export type DoctorAnswer = z.infer<typeof answerShape>;
