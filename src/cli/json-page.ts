/** What --json promises: one JSON Schema per command and the page that lists them. */
import type { Command } from 'commander';
import { z } from 'zod';
import { commandsOf } from './command-tree.ts';

const SCHEMA_VERSION = 1;

/** By file name below docs/reference/json, in the order of the commands. */
export function jsonSchemas(program: Command): Map<string, string> {
  const schemas = new Map<string, string>();
  for (const { path, shape } of commandsOf(program)) {
    if (!shape) continue;
    const schema = z.toJSONSchema(shape, { io: 'output', unrepresentable: 'any' });
    const { $schema, type, properties, required = [], ...rest } = schema;
    const titled = {
      $schema,
      title: `weft ${path} --json`,
      type,
      // Every answer has it, whoever made it.
      properties: { ...properties, schemaVersion: { const: SCHEMA_VERSION } },
      required: [...new Set([...required, 'schemaVersion'])],
      ...rest,
    };
    schemas.set(schemaFile(path), `${JSON.stringify(titled, null, 2)}\n`);
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
    'The same pages come from the admin socket by HTTP GET: `curl --unix-socket /run/weft/weft.sock http://weft/status`.',
    '',
  ].join('\n');
}
