/**
 * What daemons say to each other about reachability: one line of JSON each way over TCP, between overlay addresses.
 *   question: {"weft":"reach","version":1}            your row
 *             {"weft":"reach","version":1,"of":KEY}   the row of a peer of yours that I can't reach (one hop, never further)
 *   answer:   {"weft":"reach","version":1,"key":KEY,"mtu":BYTES,"version":TEXT,"cells":[[KEY, family, state, rttMs, lossRatio], …]} or {…,"error":…}
 * `mtu` is the pods' of the row's node, `version` its weft's; before these there were nodes that do not say them.
 */
import * as z from 'zod';
import { LEASE_KEY_CHARACTERS_MAX } from '../../shared/limits.ts';
import { ROUND_PEERS_MAX, type RowCell } from './row.ts';

export const QUESTION_BYTES_MAX = 512;
const VERSION = 1;
const HEAD = { weft: 'reach', version: VERSION } as const;

const key = z.string().min(1).max(LEASE_KEY_CHARACTERS_MAX);
const version = z.string().max(40);
const mtu = z.int().min(68).max(65_535);
const head = { weft: z.literal('reach'), version: z.literal(VERSION) };
const questionShape = z.strictObject({ ...head, of: key.optional() });
const cellShape = z.tuple([
  key,
  z.union([z.literal(4), z.literal(6)]),
  z.enum(['ok', 'lost', 'unknown']),
  z.number().min(0).max(1e6).nullable(),
  z.number().min(0).max(1).nullable(),
]);
const answerShape = z.union([
  z.object({
    ...head,
    key,
    mtu: mtu.optional(),
    version: version.optional(),
    cells: z.array(cellShape).max(ROUND_PEERS_MAX),
  }),
  z.object({ ...head, error: z.string().max(200) }),
]);

export type Question = { of?: string | undefined };
export interface Row {
  /** whose */
  key: string;
  /** that the node gives its pods, bytes */
  mtu?: number;
  /** of weft */
  version?: string;
  cells: RowCell[];
}

export function formatQuestion(of?: string): string {
  return `${JSON.stringify({ ...HEAD, ...(of !== undefined && { of }) })}\n`;
}

/** Throws when it is none. */
export function parseQuestion(line: string): Question {
  return questionShape.parse(JSON.parse(line));
}

/** What nobody looked at is left out. */
export function formatRow({ key: whose, mtu: bytes, version: weft, cells }: Row): string {
  const known = cells.filter(({ state }) => state !== 'unknown').slice(0, ROUND_PEERS_MAX);
  const short = known.map((c) => [c.key, c.family, c.state, c.rttMs, c.lossRatio]);
  // What is undefined is not written.
  return `${JSON.stringify({ ...HEAD, key: whose, mtu: bytes, version: weft, cells: short })}\n`;
}

export function formatRefusal(error: string): string {
  return `${JSON.stringify({ ...HEAD, error: error.slice(0, 200) })}\n`;
}

/** Throws when it is none, or a refusal. */
export function parseRow(line: string): Row {
  const answer = answerShape.parse(JSON.parse(line));
  if ('error' in answer) throw new Error(answer.error);
  const cells = answer.cells.map(([peer, family, state, rttMs, lossRatio]) => {
    return { key: peer, family, state, rttMs, lossRatio };
  });
  const { key: whose, mtu: bytes, version: weft } = answer;
  return {
    key: whose,
    ...(bytes !== undefined && { mtu: bytes }),
    ...(weft !== undefined && { version: weft }),
    cells,
  };
}
