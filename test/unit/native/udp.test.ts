import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { loadAddon } from '../../../src/memory/addon.ts';
import { FEATURE, FEATURES_ALL, LAYOUT, ROW } from '../../../src/memory/layout.ts';
import { pattern } from '../../support/native/packets.ts';
import { makeRig, type RowInput, takeViews, udpOptions } from '../../support/native/rig.ts';

const plain = (length: number, seed: number, more: Partial<RowInput> = {}): RowInput => ({
  bytes: pattern(length, seed),
  ...more,
});

function assertBytes(received: { bytes: Buffer }[], sent: RowInput[]): void {
  assert.equal(received.length, sent.length);
  sent.forEach((row, index) => {
    assert.ok(received[index]?.bytes.equals(row.bytes), `datagram ${index} differs`);
  });
}

for (const family of [4, 6] as const) {
  for (const gro of [true, false]) {
    test(`IPv${family}, GRO ${gro}: rows come back with source, port and TOS`, () => {
      const rig = makeRig({ family, gro });
      assert.equal(rig.gro, gro);
      const rows = [plain(100, 1, { tos: 0xb8 }), plain(1400, 2, { tos: 0xb8 }), plain(65507, 3)];
      assert.equal(rig.send(rows), 0);
      const received = rig.receive(3);
      assertBytes(received, rows);
      assert.deepEqual(
        received.map((datagram) => datagram.tos),
        [0xb8, 0xb8, 0],
      );
      const words = family === 4 ? [0, 0, 0xffff, 0x7f000001] : [0, 0, 0, 1];
      for (const datagram of received) {
        assert.deepEqual(datagram.address, words);
        assert.equal(datagram.port, rig.sendPorts[0]);
      }
      rig.end();
    });
  }
}

test('40 equal rows share one message', () => {
  const rig = makeRig();
  const rows = Array.from({ length: 40 }, (_, index) => plain(1000, index));
  assert.equal(rig.send(rows), 0);
  assert.equal(rig.stat('udpMessagesOut'), 1);
  assert.equal(rig.stat('udpSendCalls'), 1);
  assert.equal(rig.stat('udpDatagramsOut'), 40);
  assertBytes(rig.receive(40), rows);
  assert.equal(rig.stat('udpMessagesIn'), 1);
  rig.end();
});

test('a message holds 64 datagrams and 65507 bytes, no more', () => {
  const rig = makeRig();
  rig.send(Array.from({ length: 64 }, (_, index) => plain(10, index)));
  assert.equal(rig.stat('udpMessagesOut'), 1);
  rig.receive(64);
  rig.send(Array.from({ length: 64 }, (_, index) => plain(1472, index)));
  assert.equal(rig.stat('udpMessagesOut'), 3); // 44 + 20
  assert.equal(rig.receive(64).length, 64);
  rig.end();
});

test('without packing or without UDP_SEGMENT every row is a message', () => {
  for (const off of [FEATURE.pack, FEATURE.udpGso]) {
    for (const batch of [0, FEATURE.batch]) {
      const rig = makeRig({ features: (FEATURES_ALL & ~off & ~FEATURE.batch) | batch });
      const rows = Array.from({ length: 20 }, (_, index) => plain(1000, index));
      assert.equal(rig.send(rows), 0);
      assert.equal(rig.stat('udpMessagesOut'), 20);
      assert.equal(rig.stat('udpSendCalls'), batch ? 1 : 20);
      assertBytes(rig.receive(20), rows);
      rig.end();
    }
  }
});

test('peers, sockets and TOS values do not share messages', () => {
  const rig = makeRig();
  const rows = Array.from({ length: 32 }, (_, index) =>
    plain(500, index, { peer: index & 1, socket: (index >> 1) & 1, tos: 0 }),
  );
  rig.send(rows);
  assert.equal(rig.stat('udpMessagesOut'), 4);
  assert.equal(rig.stat('udpSendCalls'), 2);
  assert.equal(rig.receive(32).length, 32);
  rig.send([plain(500, 1), plain(500, 2, { tos: 4 }), plain(500, 3, { tos: 4 })]);
  assert.equal(rig.stat('udpMessagesOut'), 6);
  const tos = rig.receive(3).map((datagram) => datagram.tos);
  assert.deepEqual(tos, [0, 4, 4]);
  rig.end();
});

test('a shorter datagram closes its message, a longer one opens the next', () => {
  const rig = makeRig();
  const sizes = [1472, 60, 1472, 1472, 60, 60, 1473, 1472];
  const rows = sizes.map((size, index) => plain(size, index));
  assert.equal(rig.send(rows), 0);
  assert.equal(rig.stat('udpMessagesOut'), 4); // 1472 60 | 1472 1472 60 | 60 | 1473 1472
  assertBytes(rig.receive(sizes.length), rows);
  rig.end();
});

test('rows of one peer index but two ports do not share a message', () => {
  const rig = makeRig();
  const other = makeRig();
  const rows = [plain(99, 1), plain(99, 2, { port: other.port }), plain(99, 3)];
  assert.equal(rig.send(rows), 0);
  assertBytes(rig.receive(2), [rows[0] as RowInput, rows[2] as RowInput]);
  assertBytes(other.receive(1), [rows[1] as RowInput]);
  rig.end();
  other.end();
});

test('more peers than may be open at once: the oldest closes, nothing is lost', () => {
  const rig = makeRig();
  const rows = Array.from({ length: 64 }, (_, index) => plain(300, index, { peer: index % 20 }));
  assert.equal(rig.send(rows), 0);
  assertBytes(
    rig.receive(64).sort((a, b) => a.bytes.compare(b.bytes)),
    rows.sort((a, b) => Buffer.from(a.bytes).compare(b.bytes)),
  );
  rig.end();
});

test('any mix of sizes keeps the order within peer and socket', () => {
  const row = fc.record({
    size: fc.oneof(fc.constantFrom(60, 1472), fc.integer({ min: 4, max: 3000 })),
    peer: fc.nat(2),
    socket: fc.nat(1),
    tos: fc.constantFrom(0, 0, 0, 2),
  });
  const features = fc.constantFrom(
    FEATURES_ALL,
    FEATURES_ALL & ~FEATURE.pack,
    FEATURES_ALL & ~FEATURE.udpGso,
    FEATURES_ALL & ~FEATURE.batch,
  );
  fc.assert(
    fc.property(
      fc.array(row, { maxLength: 64, size: 'max' }),
      features,
      fc.boolean(),
      (rows, bits, gro) => {
        const rig = makeRig({ features: bits, gro });
        try {
          const inputs = rows.map(({ size, peer, socket, tos }, index) => {
            const bytes = pattern(size, index + 1);
            bytes.set([index, peer, socket, tos]);
            return { bytes, peer, socket, tos };
          });
          assert.equal(rig.send(inputs), 0);
          const received = rig.receive(inputs.length);
          assert.equal(received.length, inputs.length);
          const last = new Map<number, number>();
          for (const { bytes, port, tos } of received) {
            const [index, peer, socket] = bytes as unknown as [number, number, number];
            const key = peer * 16 + socket;
            assert.ok(bytes.equals((inputs[index] as RowInput).bytes as Buffer));
            assert.equal(port, rig.sendPorts[socket]);
            assert.equal(tos, bytes[3]);
            assert.ok(index > (last.get(key) ?? -1), 'order within peer and socket');
            last.set(key, index);
          }
        } finally {
          rig.end();
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('a row too long for a datagram fails alone', () => {
  const rig = makeRig();
  const failed = rig.send([plain(100, 1), plain(65600, 2, { headerBytes: 64 }), plain(100, 3)]);
  assert.equal(failed, 1);
  assert.equal(rig.result(1), 90); // EMSGSIZE
  assert.equal(rig.receive(2).length, 2);
  rig.end();
});

test('receiving takes 128 messages at most, one without batching, and stops near 256 KiB', () => {
  const rig = makeRig({ gro: false, features: FEATURES_ALL & ~FEATURE.udpGso });
  for (let i = 0; i < 2; i++) rig.send(Array.from({ length: 64 }, () => plain(20, 1)));
  rig.send([plain(20, 2)]);
  assert.equal(rig.addon.udpReceive(rig.engine, rig.link), LAYOUT.udpInRows);
  assert.equal(rig.addon.udpReceive(rig.engine, rig.link), 1);
  assert.equal(rig.addon.udpReceive(rig.engine, rig.link), 0);
  rig.send(Array.from({ length: 12 }, () => plain(60000, 1)));
  const rows = rig.addon.udpReceive(rig.engine, rig.link);
  assert.ok(rows >= 4 && rows <= 6, `${rows} rows`);
  while (rig.addon.udpReceive(rig.engine, rig.link) > 0);
  rig.addon.limitBatch(rig.engine, rig.link, LAYOUT.batchBytes / 2);
  rig.send(Array.from({ length: 4 }, () => plain(60000, 1)));
  const fewer = rig.addon.udpReceive(rig.engine, rig.link);
  assert.ok(fewer >= 2 && fewer <= 3, `${fewer} rows where the batch is limited`);
  for (const bytes of [0, LAYOUT.batchBytes + 1])
    assert.throws(() => rig.addon.limitBatch(rig.engine, rig.link, bytes), RangeError);
  rig.end();

  const single = makeRig({ features: FEATURES_ALL & ~FEATURE.batch, gro: false });
  single.send([plain(20, 1), plain(30, 2)]);
  assert.equal(single.addon.udpReceive(single.engine, single.link), 1);
  assert.equal(single.receive(1).length, 1);
  single.end();
});

for (const family of [4, 6] as const)
  test(`IPv${family}: of sockets that share a port, the source port says which one gets a datagram`, async () => {
    const workers = 2;
    const addon = loadAddon();
    const engine = addon.createEngine(takeViews());
    const pairs = Array.from({ length: 2 * workers }, () => addon.openPair());
    const first = addon.openUdp(udpOptions(family, { reusePort: true }));
    const { port } = first;
    const others = pairs
      .slice(1)
      .map(() => addon.openUdp(udpOptions(family, { reusePort: true, port })));
    const sockets = [first, ...others];
    for (const [i, { fd: udpFd }] of sockets.entries()) {
      const ports = { family, tunFd: (pairs[i] as number[])[0] as number, udpFd, tapFd: -1 };
      const whole = { ...ports, sendFds: Int32Array.of(udpFd), features: FEATURES_ALL };
      assert.equal(addon.attachLink(engine, whole), i);
    }
    /** From so many ports: which link got it, and which one the rule names. */
    const send = async (): Promise<[got: number, named: number][]> => {
      const found: [number, number][] = [];
      for (let i = 0; i < 32; i++) {
        const socket = createSocket(family === 4 ? 'udp4' : 'udp6');
        await new Promise<void>((done) =>
          socket.send('x', port, family === 4 ? '127.0.0.1' : '::1', () => done()),
        );
        const from = socket.address().port;
        const bits = addon.wait(engine, 1_000);
        const got = sockets.findIndex(
          (_, link) => bits === LAYOUT.waitUdp << (LAYOUT.waitLinkShift * link),
        );
        assert.equal(addon.udpReceive(engine, got), 1);
        found.push([got, (from & 1) * workers + ((from >> 1) % workers)]);
        socket.close();
      }
      return found;
    };
    addon.spreadByPort(first.fd, family, workers);
    const byPort = await send();
    for (const [got, named] of byPort) assert.equal(got, named);
    assert.equal(new Set(byPort.map(([got]) => got)).size, 2 * workers, 'all of them');
    addon.spreadByHash(first.fd);
    assert.ok((await send()).some(([got, named]) => got !== named));
    addon.spreadByHash(first.fd); // there is nothing to take back
    addon.destroyEngine(engine);
    for (const fd of [...pairs.flat(), ...sockets.map((socket) => socket.fd)]) addon.close(fd);
  });

test('an ICMP answer to an earlier send does not end receiving', async () => {
  const rig = makeRig({ sockets: 1 });
  const closed = createSocket('udp4');
  await new Promise<void>((done) => closed.bind(0, '127.0.0.1', done));
  const { port } = closed.address();
  closed.close();
  await sleep(5);
  assert.equal(rig.send([plain(50, 1, { port })]), 0);
  await sleep(5);
  assert.equal(rig.send([plain(50, 2)]), 0);
  assert.equal(rig.receive(1).length, 1);
  rig.end();
});

test('an empty datagram is a row of length 0', async () => {
  const rig = makeRig();
  const socket = createSocket('udp4');
  await new Promise<void>((done) =>
    socket.send(new Uint8Array(0), rig.port, '127.0.0.1', () => done()),
  );
  assert.equal(rig.addon.wait(rig.engine, 1000), 2);
  assert.equal(rig.addon.udpReceive(rig.engine, rig.link), 1);
  assert.equal(rig.views.udpIn[ROW.length], 0);
  socket.close();
  rig.end();
});

test('a full receive queue counts its drops', () => {
  const rig = makeRig({ gro: false, features: FEATURES_ALL & ~FEATURE.udpGso });
  for (let round = 0; round < 40; round++) {
    rig.send(Array.from({ length: LAYOUT.tunInRows }, () => plain(9000, 1)));
  }
  while (rig.addon.udpReceive(rig.engine, rig.link) > 0);
  rig.send([plain(10, 1)]);
  rig.receive(1);
  assert.ok(rig.stat('udpSocketDrops') > 0);
  rig.end();
});
