/** The web page's listener: who may ask, what is served, and where it may listen. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { type TestContext, test } from 'node:test';
import { freePorts } from '../../../lab/etcd.ts';
import { Flow, type Pages } from '../../../src/control/serve/admin.ts';
import { refusalOf } from '../../../src/control/serve/web/guard.ts';
import { startWeb } from '../../../src/control/serve/web/server.ts';
import { parseAdminListen } from '../../../src/options/admin-listen.ts';

const PORT = 8475;

const pages: Pages = {
  '/status': (query) => ({ healthy: true, asked: query.toString() }),
  '/drops': (query) => ({ asked: query.toString() }),
  '/reach': () => new Flow('text/plain', (async function* () {})()),
  '/history': () => {
    throw new RangeError('no history');
  },
  '/config': () => ({ secret: 'no' }),
  '/fault': () => ({ failed: true }),
  '/capture': () => ({ packets: true }),
  '/ping': () => ({ sent: true }),
};

interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  text: string;
}

async function setUp(t: TestContext): Promise<(path: string, o?: object) => Promise<Answer>> {
  const [port = 0] = await freePorts(1);
  const server = await startWeb({ address: '127.0.0.1', port }, pages);
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return (path, options = {}) => ask({ host: '127.0.0.1', port, path, agent: false, ...options });
}

function ask(options: http.RequestOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
      );
    });
    request.on('error', reject);
    request.end();
  });
}

test('names: only loopback with our port, whatever DNS says', () => {
  const status = (host: string | undefined, port = PORT): number =>
    refusalOf('GET', host === undefined ? {} : { host }, port)?.status ?? 200;
  for (const host of ['127.0.0.1:8475', '127.9.9.9:8475', 'localhost:8475', 'LOCALHOST:8475'])
    assert.equal(status(host), 200, host);
  assert.equal(status('[::1]:8475'), 200);
  assert.equal(status('localhost', 80), 200, 'the port of http is not written');
  for (const host of [
    undefined,
    '',
    'localhost',
    '127.0.0.1:8476',
    'attacker.example:8475',
    'localhost.attacker.example:8475',
    '127.0.0.1.attacker.example:8475',
    'attacker.example:8475@127.0.0.1:8475',
    '127.0.0.1:8475@attacker.example',
    '127.0.0.1:8475:8475',
    '127.1:8475',
    '2130706433:8475',
    '[::ffff:127.0.0.1]:8475',
    '[::1',
    '10.0.0.1:8475',
    '0.0.0.0:8475',
  ])
    assert.equal(status(host), 403, String(host));
});

test('other sites are refused, and every method but GET and HEAD', () => {
  const host = '127.0.0.1:8475';
  const status = (headers: http.IncomingHttpHeaders, method = 'GET'): number =>
    refusalOf(method, { host, ...headers }, PORT)?.status ?? 200;
  assert.equal(status({}), 200);
  assert.equal(status({ origin: 'http://127.0.0.1:8475', 'sec-fetch-site': 'same-origin' }), 200);
  assert.equal(status({ 'sec-fetch-site': 'none' }), 200, 'typed or bookmarked');
  for (const origin of [
    'null',
    'https://127.0.0.1:8475',
    'http://127.0.0.1:1',
    'http://localhost:8475',
    'http://a.example',
  ])
    assert.equal(status({ origin }), 403, origin);
  for (const site of ['cross-site', 'same-site', 'else'])
    assert.equal(status({ 'sec-fetch-site': site }), 403, site);
  assert.equal(status({}, 'HEAD'), 200);
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE'])
    assert.equal(status({}, method), 405, method);
});

test('the rules hold on the wire', async (t) => {
  const get = await setUp(t);
  const foreign = await get('/api/status', { headers: { host: 'attacker.example' } });
  assert.equal(foreign.status, 403);
  assert.match(foreign.text, /ssh -L/);
  assert.doesNotMatch(foreign.text, /healthy/);
  const posted = await get('/api/status', { method: 'POST' });
  assert.deepEqual([posted.status, posted.headers.allow], [405, 'GET, HEAD']);
  const large = await get('/', { headers: { 'x-large': 'x'.repeat(10_000) } });
  assert.equal(large.status, 431);
  assert.equal((await get('/')).status, 200, 'still there');
});

test('pages that act, tell packets or settings are not served', async (t) => {
  const get = await setUp(t);
  for (const name of [
    'config',
    'fault?worker=0',
    'capture',
    'ping',
    '__proto__',
    'constructor',
    '',
  ])
    assert.equal((await get(`/api/${name}`)).status, 404, name);
  for (const path of ['/status', '/config', '/assets/', '/assets/../server.js', '/assets/%2e%2e/x'])
    assert.equal((await get(path)).status, 404, path);
  assert.equal((await get('//')).status, 400);
  assert.equal((await get('/api/reach')).status, 404, 'what goes on for ever is no page');
  const failed = await get('/api/history');
  assert.deepEqual([failed.status, JSON.parse(failed.text).error], [400, 'no history']);
});

test('parameters: only the one that a page has there', async (t) => {
  const get = await setUp(t);
  const asked = async (path: string): Promise<string> => JSON.parse((await get(path)).text).asked;
  assert.equal(await asked('/api/drops?since=7&count=9'), 'since=7');
  assert.equal(await asked('/api/status?since=7'), '');
});

test('every answer is strict; HEAD has no body', async (t) => {
  const get = await setUp(t);
  for (const path of ['/', '/assets/main.js', '/api/status', '/api/none']) {
    const { headers } = await get(path);
    const policy = headers['content-security-policy'] as string;
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/, path);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['access-control-allow-origin'], undefined);
  }
  const whole = await get('/');
  const head = await get('/', { method: 'HEAD' });
  assert.deepEqual([head.status, head.text], [200, '']);
  assert.equal(head.headers['content-length'], whole.headers['content-length']);
});

test('the page brings everything along and names no other place', async (t) => {
  const get = await setUp(t);
  const queue = ['/'];
  const types: Record<string, string> = {
    js: 'text/javascript',
    css: 'text/css',
    '/': 'text/html',
  };
  for (const path of queue) {
    const { status, headers, text } = await get(path);
    assert.equal(status, 200, path);
    const type = types[path.split('.').at(-1) as string] as string;
    assert.ok(headers['content-type']?.startsWith(type), path);
    const places = [...text.matchAll(/https?:\/\/[^'"\s]+/g)].map(([place]) => place);
    assert.ok(
      places.every((place) => place === 'http://www.w3.org/2000/svg'),
      `${path}: ${places}`,
    );
    const named = [...text.matchAll(/"(\/assets\/[^"]+)"|from '\.(\/[^']+)'/g)];
    for (const [, asset, module] of named) {
      const next = asset ?? `/assets${module}`;
      if (!queue.includes(next)) queue.push(next);
    }
  }
  assert.ok(queue.length >= 8, queue.join());
});

test('a taken port is named', async () => {
  const [port = 0] = await freePorts(1);
  const listen = { address: '127.0.0.1', port };
  const server = await startWeb(listen, pages);
  await assert.rejects(startWeb(listen, pages), {
    code: 'ERR_ADMIN_LISTEN',
    exitCode: 71,
    message: new RegExp(`--admin-listen.*${port}`),
  });
  server.close();
});

test('--admin-listen: off, a port, or a loopback address with a port; nothing else', () => {
  assert.equal(parseAdminListen(''), undefined);
  assert.deepEqual(parseAdminListen('8475'), { address: '127.0.0.1', port: 8475 });
  assert.deepEqual(parseAdminListen('127.0.0.2:80'), { address: '127.0.0.2', port: 80 });
  assert.deepEqual(parseAdminListen('[::1]:8475'), { address: '::1', port: 8475 });
  for (const open of ['0.0.0.0:8475', '[::]:8475', '10.0.0.1:8475', '[::ffff:127.0.0.1]:8475'])
    assert.throws(() => parseAdminListen(open), { exitCode: 2, message: /not a loopback address/ });
  for (const bad of ['0', '65536', ':8475', 'localhost:8475', '127.0.0.1', '::1:8475', '127.1:80'])
    assert.throws(() => parseAdminListen(bad), { exitCode: 2, message: /--admin-listen/ });
});
