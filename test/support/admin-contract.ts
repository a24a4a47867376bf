/** What every admin socket must hold to: the pages of src/api/pages.ts, no other ones, and answers that the table promises. */
import assert from 'node:assert/strict';
import http from 'node:http';
import type * as z from 'zod';
import { errorShape } from '../../src/api/error.ts';
import { openApiText } from '../../src/api/openapi.ts';
import { type AnswerOf, PAGES, type PagePath, pageUrl, type QueryOf } from '../../src/api/pages.ts';
import { SCHEMA_VERSION } from '../../src/api/version.ts';

const PCAP_MAGIC = 0xa1b23c4d;

export interface AdminAnswer {
  status: number;
  type: string | undefined;
  body: Buffer;
}

/** A question to an admin socket. */
export function askAdmin(socketPath: string, path: string, method = 'GET'): Promise<AdminAnswer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath, path, method }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response;
        resolve({ status, type: headers['content-type'], body: Buffer.concat(parts) });
      });
    });
    request.on('error', reject);
    request.end();
  });
}

/** Asks a page and gives what it answers; throws when it is not what the table promises, or more than that. */
export async function askPage<Path extends PagePath>(
  socket: string,
  path: Path,
  query: QueryOf<Path>,
): Promise<AnswerOf<Path>> {
  const { status, type, body } = await askAdmin(socket, pageUrl(path, query));
  assert.equal(status, 200, `${path}: ${body}`);
  assert.equal(type, PAGES[path].contentType, path);
  if (path === '/openapi.json') assert.equal(body.toString(), openApiText());
  if (path === '/capture') assert.equal(body.readUInt32LE(0), PCAP_MAGIC);
  const shape: z.ZodType | undefined = PAGES[path].answer;
  return (shape && listedKeys(path, shape, body)) as AnswerOf<Path>;
}

/** Refusals look alike: other methods, other pages with the list of those that there are, and questions that do not fit. */
export async function checkRefusals(socket: string): Promise<void> {
  const refusals = [
    [405, await askAdmin(socket, '/status', 'POST')],
    [404, await askAdmin(socket, '/none')],
    [400, await askAdmin(socket, '/routes')],
  ] as const;
  for (const [expected, { status, type, body }] of refusals) {
    assert.equal(status, expected);
    assert.equal(type, 'application/json');
    const { pages } = listedKeys(String(status), errorShape, body);
    if (status === 404) assert.deepEqual(pages, Object.keys(PAGES));
  }
}

/** The answer without schemaVersion. A shape's copy has only what it lists: anything more in the answer makes them differ. */
function listedKeys<Answer>(what: string, shape: z.ZodType<Answer>, body: Buffer): Answer {
  const { schemaVersion, ...answer } = JSON.parse(body.toString());
  assert.equal(schemaVersion, SCHEMA_VERSION, what);
  const listed = shape.parse(answer);
  assert.deepEqual(answer, listed, what);
  return listed;
}
