/** The table of pages as an OpenAPI 3.1 document: docs/reference/openapi.json, and what weftd answers at /openapi.json. */
import type * as z from 'zod';
import { errorShape } from './error.ts';
import { answerSchema, type JsonSchema, parameterSchemas } from './json-schema.ts';
import { PAGES } from './pages.ts';
import { SCHEMA_VERSION } from './version.ts';

type Json = Readonly<Record<string, unknown>>;
type Entry = (typeof PAGES)[keyof typeof PAGES];

const ABOUT = `What weftd answers on its admin socket, asked by HTTP GET; it takes no other method. Every JSON answer but /openapi.json
has schemaVersion ${SCHEMA_VERSION}: while that stays, keys that are listed keep their names, types and meaning. New keys may appear at any time, and
readers must ignore keys that they do not know. Times are in RFC 3339; null means that there is none.

Who can open the socket may ask: its owner and its group. No answer holds a secret, but they show the cluster's addresses, headers of
packets, and at /capture the packets themselves.`;

/** What each operation may answer besides 200. */
const ERRORS = {
  400: 'the page can not answer, or not this: a parameter that does not fit, a node that is not ready',
  404: 'there is no such page: this weftd is an older one',
  405: 'another method than GET',
} as const;

/** As text, with a line end. */
export function openApiText(): string {
  return `${JSON.stringify(openApiDocument(), null, 2)}\n`;
}

function openApiDocument(): Json {
  const entries = Object.entries<Entry>(PAGES);
  return {
    openapi: '3.1.0',
    info: {
      title: 'weftd admin socket',
      version: String(SCHEMA_VERSION),
      summary: 'pages of a node of the overlay: state, peers, traffic, drops, routes',
      description: ABOUT.replaceAll(/(?<!\n)\n(?!\n)/g, ' '),
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [
      {
        url: 'http://weft',
        description:
          'A unix socket: curl --unix-socket /run/weft/weft.sock http://weft/status. The name means nothing.',
      },
    ],
    security: [],
    paths: Object.fromEntries(
      entries.map(([path, entry]) => [path, { get: operationOf(path, entry) }]),
    ),
    components: {
      schemas: Object.fromEntries([
        ...entries.flatMap(([path, entry]) => schemaOf(path, entry)),
        ['Error', withoutDialect(answerSchema('why there is no answer', errorShape))],
      ]),
      responses: Object.fromEntries(
        Object.entries(ERRORS).map(([status, description]) => [
          `Status${status}`,
          { description, content: contentOf('application/json', 'Error') },
        ]),
      ),
    },
  };
}

function operationOf(path: string, { title, query, contentType, answer }: Entry): Json {
  const parameters = parametersOf(query);
  const content = contentOf(contentType, answer && nameOf(path));
  return {
    operationId: `get${nameOf(path)}`,
    summary: title,
    ...(parameters.length > 0 && { parameters }),
    responses: {
      200: { description: title, content },
      ...Object.fromEntries(
        Object.keys(ERRORS).map((status) => [
          status,
          { $ref: `#/components/responses/Status${status}` },
        ]),
      ),
    },
  };
}

/** Without a schema's name: bytes, or a document that describes itself. */
function contentOf(contentType: string, name: string | undefined): Json {
  const media = name === undefined ? {} : { schema: { $ref: `#/components/schemas/${name}` } };
  return { [contentType]: media };
}

function parametersOf(query: z.ZodObject): Json[] {
  return Object.entries(parameterSchemas(query)).map(([name, { description, ...schema }]) => {
    const required = !query.shape[name]?.safeParse(undefined).success;
    return { name, in: 'query', description, required, schema };
  });
}

function schemaOf(path: string, { title, answer }: Entry): [name: string, schema: Json][] {
  return answer ? [[nameOf(path), withoutDialect(answerSchema(title, answer))]] : [];
}

/** OpenAPI 3.1 has the dialect of JSON Schema that zod writes. */
function withoutDialect({ $schema: _, ...schema }: JsonSchema): Json {
  return schema;
}

/** "/capture/stop" → "CaptureStop" */
function nameOf(path: string): string {
  return path.replaceAll(/[/.](\w)/g, (_, letter: string) => letter.toUpperCase());
}
