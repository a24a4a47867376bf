/** Checks a result file before anything is made from it: it may come from another machine, or from another version. */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { EXIT, messageOf, WeftError } from '../../src/shared/errors.ts';
import { type BenchResult, LINK_IDS } from '../net/result.ts';

const text = z.string().max(1_000);
const number = z.number().finite();
const spread = z.object({ median: number, min: number, max: number, count: number });
const link = z.enum(LINK_IDS);
const quantity = z.object({ metric: text, unit: text }).optional();

const schema = z.object({
  schemaVersion: z.literal(1),
  kind: z.literal('net'),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  complete: z.boolean(),
  weft: z.object({ version: text, commit: text, dirty: z.boolean() }),
  machine: z.object({
    cpu: text,
    cores: number,
    memoryGib: number,
    kernel: text,
    distribution: text,
    node: text,
    hypervisor: text,
    governor: text.optional(),
    systemCallNs: number.optional(),
    switchNs: number.optional(),
  }),
  settings: z.object({
    rounds: number,
    seconds: number,
    warmupSeconds: number,
    quick: z.boolean(),
    congestion: text,
  }),
  links: z.array(z.object({ id: link, label: text })),
  planes: z.array(
    z.object({ id: text, label: text, besides: text, version: text, podMtu: number }),
  ),
  works: z.array(
    z.object({
      id: text,
      label: text,
      metric: text,
      unit: text,
      better: z.enum(['higher', 'lower']),
      loss: quantity,
      cost: quantity,
      tail: text.optional(),
      congestion: text.optional(),
    }),
  ),
  runs: z.array(
    z.object({
      link,
      work: text,
      plane: text,
      round: number,
      startedAt: z.iso.datetime(),
      values: z.record(text, number).optional(),
      histogram: z.array(z.tuple([number, number])).optional(),
      conditions: z.object({ load1: number, stealPct: number, foreignPct: number }).optional(),
      error: text.optional(),
    }),
  ),
  summaries: z.array(
    z.object({
      link,
      work: text,
      plane: text,
      values: z.record(text, spread),
      ratio: spread.optional(),
      failed: number,
    }),
  ),
});

/** Throws WeftError that names the file and the first thing wrong in it. */
export function readResult(file: string): BenchResult {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    throw new WeftError('ERR_RESULT', EXIT.usage, `${file} can't be read: ${messageOf(error)}`);
  }
  return parseResult(content, file);
}

/** As {@link readResult}, of text. */
export function parseResult(content: string, name: string): BenchResult {
  let data: unknown;
  try {
    data = JSON.parse(content);
  } catch (error) {
    throw wrong(name, `no JSON (${messageOf(error)})`);
  }
  const version = (data as { schemaVersion?: unknown } | null)?.schemaVersion;
  if (version !== 1) throw wrong(name, `schemaVersion is ${JSON.stringify(version)}, not 1`);
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data as BenchResult;
  const issue = parsed.error.issues[0];
  throw wrong(name, `${issue?.path.join('.')}: ${issue?.message}`);
}

function wrong(name: string, why: string): WeftError {
  return new WeftError('ERR_RESULT', EXIT.failure, `${name} is no result of bench:net: ${why}`);
}
