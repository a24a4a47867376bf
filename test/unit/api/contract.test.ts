/** The table of pages as both ends of the socket and the OpenAPI document use it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { captureQueryShape } from '../../../src/api/capture.ts';
import { openApiText } from '../../../src/api/openapi.ts';
import { PAGES, pageUrl } from '../../../src/api/pages.ts';
import { pingQueryShape } from '../../../src/api/ping.ts';
import { parseQuery } from '../../../src/api/query.ts';

interface Operation {
  parameters?: { name: string; required: boolean; schema: object }[];
  responses: Record<string, { content?: Record<string, object> }>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, { required: string[] }>; responses: object };
}
const text = openApiText();
const document = JSON.parse(text) as Document;

test('the OpenAPI document has every page, with GET and nothing else', () => {
  assert.match(document.openapi, /^3\.1\./);
  assert.deepEqual(Object.keys(document.paths), Object.keys(PAGES));
  for (const [path, operations] of Object.entries(document.paths)) {
    assert.deepEqual(Object.keys(operations), ['get'], path);
    const { responses } = operations['get'] as Operation;
    assert.deepEqual(Object.keys(responses), ['200', '400', '404', '405'], path);
  }
});

test('every reference of the document leads to something', () => {
  const references = [...text.matchAll(/"\$ref": "#\/([^"]+)"/g)].map(([, way = '']) => way);
  assert.ok(references.length > Object.keys(PAGES).length);
  for (const way of references) {
    const found = way
      .split('/')
      .reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], document);
    assert.equal(typeof found, 'object', way);
  }
});

test('parameters have their limits, answers their version', () => {
  const of = (path: string, name: string) =>
    document.paths[path]?.['get']?.parameters?.find((parameter) => parameter.name === name);
  const count = { default: 1, type: 'integer', minimum: 1, maximum: 10 };
  assert.deepEqual(of('/ping', 'count')?.schema, count);
  assert.deepEqual(of('/capture', 'side')?.schema, {
    ...{ default: 'inner', type: 'string', enum: ['inner', 'outer'] },
  });
  assert.deepEqual([of('/ping', 'peer')?.required, of('/ping', 'size')?.required], [true, false]);
  for (const [name, { required }] of Object.entries(document.components.schemas))
    assert.ok(required.includes('schemaVersion'), name);
  assert.deepEqual(document.paths['/capture']?.['get']?.responses['200']?.content, {
    'application/vnd.tcpdump.pcap': {},
  });
});

test('the server reads what a client writes; what is undefined is not asked', () => {
  const peer = '10.244.2.0-24&fd00:244:0:2::-64';
  const read = (url: string) => new URL(url, 'http://weft').searchParams;
  const ping = pageUrl('/ping', { peer, family: '6', size: 1400, timeout: 400 });
  assert.deepEqual(parseQuery(pingQueryShape, read(ping)), {
    ...{ peer, family: '6', count: 1, size: 1400, timeout: 400 },
  });
  const capture = pageUrl('/capture', { side: 'outer', peer, count: undefined, snap: 64 });
  assert.deepEqual([...read(capture).keys()], ['side', 'peer', 'snap']);
  assert.deepEqual(parseQuery(captureQueryShape, read(capture)), {
    ...{ side: 'outer', peer, seconds: 86_400, snap: 64 },
  });
});
