/** `weft bench`: which peer is meant, what the wire may say, what the MTU means, server and client on loopback. */
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import type os from 'node:os';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { listenAddresses } from '../../../src/cli/commands/bench.ts';
import { FarEnd } from '../../../src/cli/link-test/far-end.ts';
import { findPeer } from '../../../src/cli/link-test/find-peer.ts';
import { percentile } from '../../../src/cli/link-test/latency.ts';
import { readLine, writeLine } from '../../../src/cli/link-test/line.ts';
import { median } from '../../../src/cli/link-test/measures.ts';
import {
  measurePath,
  type Probe,
  readProbe,
  searchPayload,
} from '../../../src/cli/link-test/path-mtu.ts';
import {
  isProof,
  LINE_BYTES_MAX,
  parseAnswer,
  parseGreeting,
  parseRequest,
  proofOf,
} from '../../../src/cli/link-test/protocol.ts';
import { judgeMtu, type MtuFacts } from '../../../src/cli/link-test/verdict.ts';
import type { NamedPeers } from '../../../src/cli/pages.ts';
import { OVERLAY, startServer, TOKEN, UNDERLAY } from '../../support/link-test-server.ts';

const NONCE = 'f'.repeat(32);

const dual = { key: '10.5.2.0-24&fd00:5:2::-64', publicIp: '192.0.2.2' };
const peers: NamedPeers['peers'] = [
  { ...dual, family: 6, subnet: 'fd00:5:2::/64', publicIp: '2001:db8::2' },
  { ...dual, family: 4, subnet: '10.5.2.0/24' },
  { key: '10.5.3.0-24', family: 4, subnet: '10.5.3.0/24', publicIp: '192.0.2.3' },
  { key: '10.5.4.0-24', family: 4, subnet: '10.5.4.0/24', publicIp: '192.0.2.9' },
  { key: '10.5.5.0-24', family: 4, subnet: '10.5.5.0/24', publicIp: '192.0.2.9' },
];

describe('which peer is meant', () => {
  const v4 = { family: 4, underlay: '192.0.2.2', overlay: '10.5.2.0' };
  const v6 = { family: 6, underlay: '2001:db8::2', overlay: 'fd00:5:2::' };
  const found = (text: string, family?: 4 | 6): object => {
    const { key, family: chosen, underlay, overlay } = findPeer({ peers }, text, family);
    assert.equal(key, dual.key);
    return { family: chosen, underlay, overlay };
  };

  test('by key, subnet, public address or an address inside; IPv4 unless told otherwise', () => {
    const names = [dual.key, '10.5.2.0/24', 'fd00:5:2::/64', '192.0.2.2', '2001:db8:0::2'];
    for (const name of [...names, '10.5.2.77', 'fd00:5:2::1']) {
      assert.deepEqual(found(name), v4, name);
      assert.deepEqual(found(name, 6), v6, name);
    }
  });

  test('what is not found, not clear or not there in this family is said', () => {
    const refused = (text: string, pattern: RegExp, family?: 4 | 6): void =>
      assert.throws(() => findPeer({ peers }, text, family), { exitCode: 1, message: pattern });
    refused('10.5.30.1', /no peer "10\.5\.30\.1".*\n {2}10\.5\.3\.0-24 /);
    refused('10.5.2.0/23', /no peer/);
    refused('__proto__', /no peer/);
    refused('192.0.2.9', /more than one peer \(10\.5\.4\.0-24, 10\.5\.5\.0-24\)/);
    refused('10.5.3.1', /has no IPv6 subnet/, 6);
    assert.throws(() => findPeer({ peers: [] }, 'x'), /no peers at all/);
  });
});

describe('what the wire may say', () => {
  test('a proof holds for one token and one nonce only', () => {
    const proof = proofOf(TOKEN, NONCE);
    assert.ok(isProof(proof, TOKEN, NONCE));
    assert.ok(!isProof(proof, TOKEN, '0'.repeat(32)));
    assert.ok(!isProof(proof, `${TOKEN}x`, NONCE));
    assert.ok(!isProof('', TOKEN, NONCE));
    assert.ok(!isProof(`${proof}0`, TOKEN, NONCE));
  });

  test('requests: exactly the known ones', () => {
    const proof = proofOf(TOKEN, NONCE);
    const session = NONCE;
    const good = { op: 'upload', proof, session, seconds: 2 };
    assert.deepEqual(parseRequest(JSON.stringify(good)), good);
    const bad: unknown[] = [
      null,
      [],
      'upload',
      {},
      { ...good, op: 'exec' },
      { ...good, seconds: 31 },
      { ...good, seconds: -1 },
      { ...good, seconds: '2' },
      { ...good, seconds: null },
      { ...good, session: '../x' },
      { ...good, proof: [proof] },
      { ...good, address: '192.0.2.1' },
      { op: 'mtu', proof },
    ];
    for (const request of bad)
      assert.throws(() => parseRequest(JSON.stringify(request)), /not a request/);
    for (const text of ['', '{', '\0', '{"op":"session"']) assert.throws(() => parseRequest(text));
  });

  test('answers: versions, refusals without control characters, nonsense', () => {
    const greeting = { weft: 'bench', version: 1, nonce: NONCE };
    assert.equal(parseGreeting(JSON.stringify(greeting)), NONCE);
    assert.throws(() => parseGreeting(JSON.stringify({ ...greeting, version: 2 })), /version 2/);
    assert.throws(() => parseGreeting('SSH-2.0-x'), /something else than weft bench/);
    assert.throws(
      () => parseAnswer('upload', '{"error":"no\\u001b[2J"}'),
      /refuses: no\\u001b\[2J$/,
    );
    assert.throws(() => parseAnswer('echo', '{"ok":true,"key":"short"}'), /does not understand/);
    const odd = '{"ok":true,"result":{"payloadBytes":1e9}}';
    assert.throws(() => parseAnswer('mtu', odd), /does not understand/);
  });
});

describe('the MTU', () => {
  const path = (limit: number, named?: number) => {
    const probes: number[] = [];
    const probe = async (size: number): Promise<Probe> => {
      probes.push(size);
      if (size + 28 <= limit) return { arrived: true };
      return named === undefined ? { arrived: false } : { arrived: false, mtu: named };
    };
    return { probes, probe };
  };

  test('the search ends at the limit, at once when the device or a router names it', async () => {
    for (const limit of [576, 577, 1399, 1400, 1499]) {
      const silent = path(limit);
      const result = await searchPayload(silent.probe, 4, 1500);
      assert.deepEqual(result, { payloadBytes: limit - 28 });
      assert.ok(silent.probes.length <= 13, `${silent.probes}`);
    }
    const whole = path(9000);
    assert.deepEqual(await searchPayload(whole.probe, 4, 1500), { payloadBytes: 1472 });
    assert.deepEqual(whole.probes, [548, 1472]);
    const named = path(1400, 1400);
    assert.deepEqual(await searchPayload(named.probe, 4, 1500), { payloadBytes: 1372 });
    assert.deepEqual(named.probes.slice(0, 3), [548, 1472, 1372]);
    const lying = path(1400, 9999);
    assert.deepEqual(await searchPayload(lying.probe, 4, 1500), { payloadBytes: 1372 });
    assert.match(JSON.stringify(await searchPayload(path(0).probe, 4, 1500)), /no answer/);
  });

  test("ping's words", () => {
    assert.deepEqual(readProbe(0, ''), { arrived: true });
    assert.deepEqual(readProbe(1, '2 packets transmitted, 0 received'), { arrived: false });
    const local = 'ping: local error: message too long, mtu=1450';
    assert.deepEqual(readProbe(1, local), { arrived: false, mtu: 1450 });
    const remote = 'From 192.0.2.1 icmp_seq=1 Frag needed and DF set (mtu = 1400)';
    assert.deepEqual(readProbe(1, remote), { arrived: false, mtu: 1400 });
    assert.match(JSON.stringify(readProbe('ENOENT', '')), /iputils-ping/);
    assert.match(JSON.stringify(readProbe(2, 'ping: socket: Operation not permitted')), /root/);
    assert.match(JSON.stringify(readProbe(1, "ping: invalid option -- 'M'")), /iputils/);
  });

  const both = (payloadBytes: number) => ({ to: { payloadBytes }, from: { payloadBytes } });
  const facts: MtuFacts = {
    family: 4,
    backend: 'vxlan',
    interface: 'eth0',
    podMtu: 1450,
    underlay: both(1472),
    overlay: both(1422),
  };

  test('verdicts', () => {
    const judge = (changes: Partial<MtuFacts>) => judgeMtu({ ...facts, ...changes });
    const good = judge({});
    assert.equal(good.fits, true);
    assert.match(good.text, /^pods get MTU 1450; the path carries 1450: good/);

    const oneWay = { to: { payloadBytes: 1472 }, from: { payloadBytes: 1372 } };
    const small = judge({ underlay: oneWay });
    assert.equal(small.fits, false);
    assert.match(small.text, /only 1400 from the peer: .* in fragments; set Backend\.MTU .* 1400,/);
    assert.match(
      judge({ underlay: both(1372), overlay: both(1322) }).text,
      /both ways: .*get lost/,
    );

    const inner = judge({ overlay: both(1372) });
    assert.equal(inner.fits, false);
    assert.match(inner.text, /the overlay carries only 1400 both ways; .* to 1450,/);

    const udp = judge({ backend: 'udp', podMtu: 1472, underlay: both(1372), overlay: both(1344) });
    assert.match(udp.text, /needs 1500 .* set the MTU of eth0 on every node, to 1400/);

    const v6 = { family: 6, podMtu: 1430, underlay: both(1452), overlay: both(1382) } as const;
    assert.equal(judge(v6).fits, true);

    const unknown = judge({ underlay: { to: { payloadBytes: 1472 }, from: { why: 'no ping' } } });
    assert.equal(unknown.fits, null);
    assert.match(unknown.text, /underlay from the peer: no ping/);
  });
});

test('numbers: median and nearest rank', () => {
  assert.equal(median([30, 10, 20]), 20);
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  assert.deepEqual(
    [percentile(hundred, 50), percentile(hundred, 99), percentile([7], 99)],
    [50, 99, 7],
  );
});

test('the server listens on the node and overlay addresses only', () => {
  const at = (address: string) => ({ address }) as os.NetworkInterfaceInfo;
  const interfaces = {
    lo: [at('127.0.0.1')],
    eth0: [at('192.0.2.8'), at('192.0.2.1'), at('fe80::1'), at('2001:db8::1')],
    'flannel.1': [at('10.5.1.0')],
  };
  const devices = [{ device: 'flannel.1' }, { device: 'flannel-v6.1' }];
  const node = { interface: 'eth0', publicIp: '192.0.2.1', publicIpv6: null };
  assert.deepEqual(listenAddresses({ node, devices }, interfaces), ['192.0.2.1', '10.5.1.0']);
  const nat = { ...node, publicIp: '198.51.100.1', publicIpv6: '2001:db8::1' };
  const expected = ['192.0.2.8', '2001:db8::1', '10.5.1.0'];
  assert.deepEqual(listenAddresses({ node: nat, devices }, interfaces), expected);
  assert.throws(() => listenAddresses({ node, devices: [] }, {}), /eth0/);
});

function farEnd(t: TestContext, port: number, token = TOKEN): FarEnd {
  const address = { underlay: UNDERLAY, overlay: OVERLAY };
  const { signal } = new AbortController();
  const end = new FarEnd({ address, family: 4, port, token, signal });
  t.after(() => end.close());
  return end;
}

/** One request; its connection stays open until the test ends. */
async function askOn(
  t: TestContext,
  port: number,
  request: object,
): Promise<{ socket: net.Socket; answer: Record<string, string> }> {
  const socket = net.connect({ port, host: UNDERLAY });
  t.after(() => socket.destroy());
  const nonce = parseGreeting(await readLine(socket, 5_000));
  writeLine(socket, { ...request, proof: proofOf(TOKEN, nonce) });
  return { socket, answer: JSON.parse(await readLine(socket, 5_000)) };
}

async function ask(t: TestContext, port: number, request: object): Promise<Record<string, string>> {
  return (await askOn(t, port, request)).answer;
}

/** Connects, sends raw text and returns all that comes until the server hangs up. */
async function talk(port: number, text: string): Promise<string> {
  const socket = net.connect({ port, host: UNDERLAY, allowHalfOpen: true });
  let heard = '';
  socket.setEncoding('utf8').on('data', (more) => {
    heard += more;
  });
  socket.on('error', () => undefined);
  socket.write(text);
  await once(socket, 'end');
  socket.destroy();
  return heard;
}

test('server and client: streams, round trips, one test at a time, wrong tokens', async (t) => {
  const { server, said } = await startServer(t);
  const near = farEnd(t, server.port);
  await near.open();
  for (const way of ['underlay', 'overlay'] as const) {
    assert.ok((await near.upload(way, 0.1)).bytes > 0);
    assert.ok((await near.download(way, 0.1)).bytes > 0);
    const trips = await near.latency(way);
    assert.ok(trips.p50Us > 0 && trips.p99Us >= trips.p50Us);
  }
  await assert.rejects(farEnd(t, server.port).open(), /a test from 127\.0\.0\.1 is running/);
  await assert.rejects(farEnd(t, server.port, 'guess').open(), /wrong token/);
  near.close();
  while (!said.includes('the test from 127.0.0.1 is over')) await sleep(5);
  const second = farEnd(t, server.port);
  await second.open();
  await assert.rejects(near.upload('underlay', 0.1), /not the one that is running/);
});

test('hostile connections get a reason and no service', async (t) => {
  const { server } = await startServer(t);
  for (const text of ['GET / HTTP/1.1\n', '{"op":"session"}\n', '\0\xff\n'])
    assert.match(await talk(server.port, text), /not a request of weft bench/);
  assert.match(await talk(server.port, 'x'.repeat(LINE_BYTES_MAX + 1)), /a line was too long/);
  const forged = { op: 'download', proof: proofOf('guess', NONCE), session: NONCE, seconds: 30 };
  assert.match(await talk(server.port, `${JSON.stringify(forged)}\n`), /wrong token/);
  await farEnd(t, server.port).open();
});

test('UDP answers nobody without a connection, and only the address of that connection', async (t) => {
  const { server } = await startServer(t);
  const heard: Buffer[] = [];
  const sockets = [UNDERLAY, '127.0.0.3'].map((from) => {
    const socket = dgram.createSocket('udp4');
    socket.on('message', (message) => heard.push(message));
    t.after(() => socket.close());
    return { from, socket };
  });
  for (const { from, socket } of sockets) {
    socket.bind(0, from);
    await once(socket, 'listening');
  }
  const send = (i: number, message: Buffer): void =>
    sockets[i]?.socket.send(message, server.port, UNDERLAY);
  const { session } = await ask(t, server.port, { op: 'session' });
  const key = Buffer.from((await ask(t, server.port, { op: 'echo', session }))['key'] ?? '', 'hex');
  send(0, Buffer.alloc(64));
  send(0, key.subarray(1));
  send(0, Buffer.concat([key, Buffer.alloc(4000)]));
  send(1, Buffer.concat([key, Buffer.from('from elsewhere')]));
  // Datagrams on loopback keep their order: when this one is back, the others would have been.
  const mine = Buffer.concat([key, Buffer.from('mine')]);
  send(0, mine);
  while (heard.length === 0) await sleep(5);
  await sleep(50);
  assert.deepEqual(heard, [mine]);
});

test('a stuck stream is a result, not the end of the test', async (t) => {
  const { server } = await startServer(t);
  const { session } = await ask(t, server.port, { op: 'session' });
  const { socket } = await askOn(t, server.port, { op: 'upload', session, seconds: 0.1 });
  const result = JSON.parse(await readLine(socket, 10_000));
  assert.equal(result.bytes, 0);
  assert.ok(result.ms > 100);

  // A far end that agrees to everything and then says nothing.
  const silent = net.createServer({ allowHalfOpen: true }, (connection) => {
    writeLine(connection, { weft: 'bench', version: 1, nonce: NONCE });
    connection.once('data', () => writeLine(connection, { ok: true, session: NONCE }));
    connection.on('error', () => undefined);
  });
  t.after(() => silent.close());
  await new Promise<void>((resolve) => silent.listen(0, UNDERLAY, resolve));
  const near = farEnd(t, (silent.address() as net.AddressInfo).port);
  await near.open();
  assert.equal((await near.download('underlay', 0.1)).bytes, 0);
  assert.equal((await near.upload('underlay', 0.1)).bytes, 0);
});

test('an aborted test ends its sockets', async (t) => {
  const { server } = await startServer(t);
  const abort = new AbortController();
  const address = { underlay: UNDERLAY, overlay: OVERLAY };
  const options = { address, family: 4, port: server.port, token: TOKEN } as const;
  const near = new FarEnd({ ...options, signal: abort.signal });
  await near.open();
  const running = near.download('overlay', 20);
  await sleep(100);
  abort.abort();
  await assert.rejects(running);
  await assert.rejects(measurePath(UNDERLAY, UNDERLAY, 4, abort.signal), { name: 'AbortError' });
});
