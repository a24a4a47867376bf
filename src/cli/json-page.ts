/** What --json promises: one JSON Schema per command and the page that lists them. */
import type { Command } from 'commander';
import { answerSchema } from '../api/json-schema.ts';
import { commandsOf } from './command-tree.ts';

/** By file name below docs/reference/json, in the order of the commands. */
export function jsonSchemas(program: Command): Map<string, string> {
  const schemas = new Map<string, string>();
  for (const { path, shape } of commandsOf(program)) {
    if (!shape) continue;
    const schema = answerSchema(`weft ${path} --json`, shape);
    schemas.set(schemaFile(path), `${JSON.stringify(schema, null, 2)}\n`);
  }
  return schemas;
}

export function schemaFile(path: string): string {
  return `${path.replaceAll(' ', '-')}.schema.json`;
}

/** docs/reference/json.md */
export function renderJsonPage(program: Command): string {
  const rows = commandsOf(program)
    .filter(({ shape }) => shape !== undefined)
    .map(({ path, description }) => {
      const file = schemaFile(path);
      return `| \`weft ${path} --json\` | ${description} | [${file}](json/${file}) |`;
    });
  return [
    '# What --json prints',
    '',
    'Written by `node scripts/docs.mjs`. Each answer is one JSON object with `schemaVersion`; with `--watch`, and from `weft top`, one object a line.',
    '',
    'The promise: what a schema lists keeps its name, type and meaning while `schemaVersion` stays the same. New keys may appear at any time, so',
    'readers must ignore keys that they do not know. An answer that does not match its schema is refused by `weft` itself with exit code 1.',
    '',
    'Keys are in camelCase, times in RFC 3339, durations and sizes have their unit as last word of the name (`rttMs`, `sentBytes`), `null` means',
    'that there is none. Options of the daemon keep the names of their flags.',
    '',
    '| command | what | JSON Schema |',
    '|---|---|---|',
    ...rows,
    '',
    '## The pages of the admin socket',
    '',
    'Commands ask the daemon by HTTP GET, and so may everybody who can open its socket: `curl --unix-socket /run/weft/weft.sock http://weft/status`.',
    '[openapi.json](openapi.json) describes all pages, with their parameters, limits and answers, as an OpenAPI 3.1 document; a running daemon answers',
    'with its own at `/openapi.json`. No page takes another method than GET, and none shows a secret. The same promise holds for them.',
    '',
  ].join('\n');
}
