/** Echo sockets against the real kernel: loopback, and namespaces where something on the way refuses. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { addVeth } from '../../lab/fabric.ts';
import { LabScope, type Namespace } from '../../lab/namespace.ts';
import { EchoSender } from '../../src/control/reach/echo.ts';
import { loadAddon } from '../../src/memory/addon.ts';
import { ECHO, LAYOUT } from '../../src/memory/layout.ts';
import { addressBytes, parseAddress, type Words } from '../../src/shared/address.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';
import { ipPacket, slowChecksum } from '../support/packets.ts';
import { RawSender } from '../support/raw-sender.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it, test } = needs('root');

const addon = loadAddon();
const token = (): Uint8Array => new Uint8Array(randomBytes(LAYOUT.echoTokenBytes));
const words = (text: string): Words => parseAddress(text) as Words;
const LOOPBACK = { 4: '127.0.0.1', 6: '::1' } as const;

async function receiveOne(fd: number, own: Uint8Array): Promise<number[]> {
  const rows = new Float64Array(4 * LAYOUT.echoRowDoubles);
  let count = 0;
  await until('an echo came back', () => {
    count = addon.echoReceive(fd, own, rows);
    return count !== 0;
  });
  assert.equal(count, 1);
  return [...rows.subarray(0, LAYOUT.echoRowDoubles)];
}

/** From the loopback address to itself, as the kernel would quote it. */
function echoRequest(family: 4 | 6, sequence: number, payload: Uint8Array): Uint8Array {
  const transport = new Uint8Array(8 + payload.length);
  transport[0] = family === 4 ? 8 : 128;
  new DataView(transport.buffer).setUint16(6, sequence);
  transport.set(payload, 8);
  const own = LOOPBACK[family];
  const protocol = family === 4 ? 1 : 58;
  return ipPacket({ source: own, destination: own, protocol, transport, checksumAt: -1 });
}

/** The error that a router on the way would send about it. */
function unreachable(family: 4 | 6, quoted: Uint8Array): Uint8Array {
  const transport = new Uint8Array(8 + quoted.length);
  transport[0] = family === 4 ? 3 : 1;
  transport.set(quoted, 8);
  const own = LOOPBACK[family];
  if (family === 6)
    return ipPacket({ source: own, destination: own, protocol: 58, transport, checksumAt: 2 });
  // ICMP of IPv4 sums no pseudo header.
  const sum = slowChecksum(transport);
  transport[2] = sum >> 8;
  transport[3] = sum & 255;
  return ipPacket({ source: own, destination: own, protocol: 1, transport, checksumAt: -1 });
}

for (const family of [4, 6] as const) {
  const address = words(LOOPBACK[family]);
  const bytes = addressBytes(address);
  const request = (sequence: number, payloadBytes: number) => {
    return { address: bytes, identifier: 77, sequence, payloadBytes };
  };

  test(`IPv${family}: an answer carries sender, sequence, TTL, size and a time after the sending`, async () => {
    const { fd, raw } = addon.openEcho(family, bytes);
    const own = token();
    assert.equal(raw, true);
    for (const payload of [LAYOUT.echoTokenBytes, 56, 1400, 60_000]) {
      const sentAt = addon.echoSend(fd, own, request(payload, payload));
      assert.ok(sentAt > 0, `${sentAt}`);
      const row = await receiveOne(fd, own);
      assert.deepEqual(row.slice(ECHO.address), [...address]);
      assert.equal(row[ECHO.sequence], payload);
      assert.equal(row[ECHO.payloadBytes], payload);
      assert.deepEqual([row[ECHO.errno], row[ECHO.ttl]], [0, 64]);
      assert.ok((row[ECHO.atNs] as number) > sentAt);
    }
    addon.close(fd);
  });

  test(`IPv${family}: an answer with another token is nobody's`, async () => {
    const [ours, theirs] = [addon.openEcho(family, bytes).fd, addon.openEcho(family, bytes).fd];
    const [own, other] = [token(), token()];
    addon.echoSend(theirs, other, request(9, 56));
    addon.echoSend(ours, own, request(9, 100));
    assert.equal((await receiveOne(ours, own))[ECHO.payloadBytes], 100);
    assert.equal((await receiveOne(theirs, other))[ECHO.payloadBytes], 56);
    addon.close(ours);
    addon.close(theirs);
  });

  test(`IPv${family}: an error counts only when it quotes the token, however much else it knows`, async () => {
    const { fd } = addon.openEcho(family, bytes);
    const own = token();
    const rows = new Float64Array(4 * LAYOUT.echoRowDoubles);
    const stranger = new RawSender();
    /** Unreachable, about an echo request of ours with this payload. */
    const forge = (sequence: number, payload: Uint8Array): void => {
      const request = echoRequest(family, sequence, payload);
      assert.equal(stranger.send(unreachable(family, request)), 0);
    };
    forge(1, new Uint8Array(0));
    forge(2, own.subarray(0, LAYOUT.echoTokenBytes - 1));
    forge(3, token());
    forge(4, own);
    const row = await receiveOne(fd, own);
    assert.equal(row[ECHO.sequence], 4);
    assert.ok((row[ECHO.errno] as number) > 0);
    assert.equal(addon.echoReceive(fd, own, rows), 0);
    // What strangers left behind does not end the next request.
    for (let sequence = 10; sequence < 20; sequence++) {
      forge(sequence, new Uint8Array(0));
      assert.ok(addon.echoSend(fd, own, request(sequence, 56)) > 0);
      const answer = await receiveOne(fd, own);
      assert.deepEqual([answer[ECHO.sequence], answer[ECHO.errno]], [sequence, 0]);
    }
    stranger.close();
    addon.close(fd);
  });

  test(`IPv${family}: wrong arguments are refused`, () => {
    const { fd } = addon.openEcho(family, bytes);
    const send = (more: object, own = token()): number =>
      addon.echoSend(fd, own, { ...request(1, 56), ...more });
    assert.throws(() => send({ address: new Uint8Array(5) }), RangeError);
    assert.throws(() => send({ payloadBytes: 7 }), RangeError);
    assert.throws(() => send({ payloadBytes: 65_508 }), RangeError);
    assert.throws(() => send({ sequence: 65_536 }), RangeError);
    assert.throws(() => send({}, new Uint8Array(7)), RangeError);
    assert.throws(() => addon.openEcho(family, new Uint8Array(3)), RangeError);
    const nobodys = addressBytes(words(family === 4 ? '203.0.113.9' : '2001:db8::9'));
    assert.throws(() => addon.openEcho(family, nobodys), { code: 'EADDRNOTAVAIL' });
    addon.close(fd);
    assert.equal(addon.echoReceive(fd, token(), new Float64Array(LAYOUT.echoRowDoubles)), -9);
  });
}

test('many at once keep the pace, each with its own answer; what has no source says so', async () => {
  const sender = new EchoSender(addon, { 4: words('127.0.0.1') });
  const began = performance.now();
  const options = { payloadBytes: 56, timeoutMs: 2_000 };
  const targets = Array.from({ length: 60 }, (_, i) => words(`127.0.0.${i + 1}`));
  const results = await Promise.all(targets.map((to) => sender.send(to, options)));
  assert.deepEqual([...new Set(results.map(({ state }) => state))], ['answered']);
  assert.ok(performance.now() - began >= 290, 'at most 200 a second');
  const wrong = await sender.send(words('::1'), options);
  assert.equal(wrong.state === 'refused' && wrong.why, 'this node has no IPv6 in the overlay');
  const pending = sender.send(words('127.0.0.1'), options);
  sender.close();
  assert.deepEqual(await pending, { state: 'lost' });
});

describe('netns: echoes over a router', () => {
  let scope: LabScope;
  let near: Namespace;
  let router: Namespace;
  let far: Namespace;
  const NEAR = { 4: '10.7.1.1', 6: 'fd07:1::1' } as const;
  const FAR = { 4: '10.7.2.2', 6: 'fd07:2::2' } as const;

  before(async () => {
    scope = await LabScope.open();
    near = await scope.namespace('near');
    router = await scope.namespace('router');
    far = await scope.namespace('far');
    await addVeth(near, 'eth0', router, 'left');
    await addVeth(router, 'right', far, 'eth0');
    const addresses = [
      [near, 'eth0', '10.7.1.1/24', 'fd07:1::1/64'],
      [router, 'left', '10.7.1.9/24', 'fd07:1::9/64'],
      [router, 'right', '10.7.2.9/24', 'fd07:2::9/64'],
      [far, 'eth0', '10.7.2.2/24', 'fd07:2::2/64'],
    ] as const;
    for (const [space, device, four, six] of addresses) {
      await space.ip('addr', 'add', four, 'dev', device);
      await space.ip('addr', 'add', six, 'dev', device, 'nodad');
      await space.ip('link', 'set', device, 'up');
    }
    await router.sysctl({ 'net/ipv4/ip_forward': 1, 'net/ipv6/conf/all/forwarding': 1 });
    for (const [space, part] of [
      [near, 1],
      [far, 2],
    ] as const) {
      await space.ip('route', 'add', 'default', 'via', `10.7.${part}.9`);
      await space.ip('-6', 'route', 'add', 'default', 'via', `fd07:${part}::9`);
    }
    await router.ip('link', 'set', 'right', 'mtu', '1400');
  });
  after(async () => {
    await scope?.close();
  });

  const echo = async (
    source: string,
    target: string,
    payload: number,
    prefix: readonly string[] = [],
  ) => {
    const program = path.join(projectRoot(), 'dist/test/support/programs/echo.js');
    const words = [...prefix, process.execPath, program, source, target, String(payload)];
    const { stdout } = await near.exec(words[0] as string, words.slice(1));
    return JSON.parse(stdout) as Record<string, unknown>;
  };

  for (const family of [4, 6] as const) {
    it(`IPv${family}: a router names the MTU that it has`, async () => {
      const header = family === 4 ? 28 : 48;
      // Addresses and neighbours need a moment on a fresh link.
      const isThere = async () =>
        (await echo(NEAR[family], FAR[family], 56))['state'] === 'answered';
      await until('the way is there', isThere);
      const fitting = await echo(NEAR[family], FAR[family], 1400 - header);
      assert.equal(fitting['state'], 'answered', JSON.stringify(fitting));
      assert.equal(fitting['ttl'], 63);
      const large = await echo(NEAR[family], FAR[family], 1401 - header);
      assert.deepEqual([large['state'], large['mtu']], ['refused', 1400]);
      const larger = await echo(NEAR[family], FAR[family], 1501 - header);
      assert.deepEqual([larger['state'], larger['mtu']], ['refused', null]);
    });

    it(`IPv${family}: a refusal on the way comes at once, with its reason`, async () => {
      const nobody = family === 4 ? '10.7.9.9' : 'fd07:9::9';
      const result = await echo(NEAR[family], nobody, 56);
      assert.deepEqual([result['state'], result['why']], ['refused', 'network unreachable']);
    });

    it(`IPv${family}: without CAP_NET_RAW a ping socket does it`, async () => {
      await near.sysctl({ 'net/ipv4/ping_group_range': '0 0' });
      const unprivileged = ['setpriv', '--inh-caps=-all', '--bounding-set=-all'];
      const result = await echo(NEAR[family], FAR[family], 56, unprivileged);
      assert.deepEqual([result['state'], result['raw'], result['ttl']], ['answered', false, 63]);
    });
  }
});
