/**
 * A sealed link, with the test seal of the sanitizer build: what leaves is closed, what comes in is opened, and a datagram that does
 * not open is dropped once, for a reason that its encapsulation gives. Exits 0 and prints what held, or throws.
 */
import assert from 'node:assert/strict';
import { loadAddon } from '../../../src/memory/addon.ts';
import type { DropName } from '../../../src/memory/drops.ts';
import { FEATURE, FEATURES_ALL, GSO, GSO_FLAG } from '../../../src/memory/layout.ts';
import { buildPacket } from '../native/packets.ts';
import { type Datagram, makeRig, type RowInput } from '../native/rig.ts';
import { pattern, tcpPacket } from '../packets.ts';
import { Rig } from '../rig.ts';
import type { SealingAddon } from '../sealed-toy-encap.ts';

const addon = loadAddon() as SealingAddon;
const KEY = 7;
/** native/test/test-seal.h */
const KEYLESS_PEER = 0x4000;
const ENOKEY = 126;
const HEADER = pattern(22, 99);

/** What the test seal makes of a datagram: padded to 16 bytes, counter and tag. */
const closedBytes = (bytes: number): number => Math.ceil(bytes / 16) * 16 + 16;

function superRow(version: 4 | 6, payloadBytes: number, gsoSize: number): RowInput {
  const packet = buildPacket({ version, protocol: 'tcp', payload: pattern(payloadBytes) });
  return {
    bytes: Buffer.concat([HEADER, packet.bytes]),
    headerBytes: HEADER.length,
    gso: (version === 4 ? GSO.tcp4 : GSO.tcp6) | GSO_FLAG.needsCsum,
    gsoSize,
    csumStart: packet.start,
    csumOffset: 16,
  };
}

/** The datagrams of these rows as a link without a seal sends them, or as one with this key sends them to itself. */
function sent(rows: RowInput[], udpGso: boolean, key?: number): Datagram[] {
  const rig = makeRig({
    features: udpGso ? FEATURES_ALL : FEATURES_ALL & ~FEATURE.udpGso,
    gro: udpGso,
  });
  if (key !== undefined) addon.sealLink(rig.engine, rig.link, key);
  assert.equal(rig.send(rows), 0);
  const datagrams = rig.receive(rig.stat('udpDatagramsOut'));
  rig.end();
  return datagrams;
}

/** Closed datagrams as they are on the wire. */
function closed(plain: readonly Uint8Array[]): Buffer[] {
  const wire = makeRig();
  const sealed = makeRig();
  addon.sealLink(sealed.engine, sealed.link, KEY);
  assert.equal(sealed.send(plain.map((bytes) => ({ bytes, port: wire.port }))), 0);
  const datagrams = wire.receive(plain.length).map(({ bytes }) => bytes);
  sealed.end();
  wire.end();
  return datagrams;
}

function checkSegments(): void {
  const rows = [4, 6].flatMap((version) => [
    superRow(version as 4 | 6, 50_000, 1398),
    superRow(version as 4 | 6, 1000, 1398),
    { ...superRow(version as 4 | 6, 200, 0), gso: GSO_FLAG.needsCsum },
  ]);
  const small = Array.from({ length: 60 }, () => superRow(4, 10_000, 100)); // more than the arena holds
  for (const udpGso of [true, false]) {
    for (const batch of [rows, small.slice(0, 8)]) {
      const clear = sent(batch, udpGso);
      const opened = sent(batch, udpGso, KEY);
      assert.equal(opened.length, clear.length);
      opened.forEach(({ bytes }, i) => {
        const expected = clear[i]?.bytes as Buffer;
        assert.equal(bytes.length, closedBytes(expected.length));
        assert.ok(bytes.subarray(0, expected.length).equals(expected), `datagram ${i}`);
      });
    }
  }
  const rig = makeRig();
  addon.sealLink(rig.engine, rig.link, KEY);
  assert.equal(rig.send(small), 0);
  assert.equal(rig.stat('udpDatagramsOut'), 60 * 100);
  rig.end();
  process.stdout.write('segments open to what a link in clear sends\n');
}

function checkWire(): void {
  const plain = Array.from({ length: 3 }, (_, i) => pattern(300, i));
  const datagrams = closed(plain);
  assert.equal(datagrams.length, 3);
  for (const [i, bytes] of datagrams.entries()) {
    assert.equal(bytes.length, closedBytes(300));
    assert.ok(!bytes.includes(Buffer.from(plain[i] as Uint8Array).subarray(0, 16)));
  }
  process.stdout.write('on the wire nothing is in clear\n');
}

function checkWithoutSession(): void {
  const rig = makeRig();
  addon.sealLink(rig.engine, rig.link, KEY);
  const row = superRow(4, 5000, 1398);
  assert.equal(rig.send([row, { ...row, peer: KEYLESS_PEER }, row]), 1);
  assert.deepEqual([0, 1, 2].map(rig.result), [0, ENOKEY, 0]);
  assert.equal(rig.receive(8).length, 8);
  rig.end();
  process.stdout.write('a row without a session fails alone\n');
}

function drops(rig: Rig): Record<string, number> {
  const { inbound } = rig.totals().drops;
  return Object.fromEntries(Object.entries(inbound).filter(([, count]) => count > 0));
}

/** A node with a sealed link; its peer sends what it is told, as it is. */
function checkNode(kind: 'vxlan' | 'udp', family: 4 | 6, reason: DropName): void {
  const rig = new Rig({ kind, family });
  addon.sealLink(rig.forwarder.engine, 0, KEY);
  const [source, destination] =
    family === 4 ? ['10.244.1.2', '10.244.2.2'] : ['fd00:244:0:1::2', 'fd00:244:0:2::2'];
  const inner = tcpPacket({ source: destination, destination: source, payload: pattern(500) });
  const header = kind === 'vxlan' ? vxlanHeader(family) : new Uint8Array(0);
  const good = closed(Array.from({ length: 5 }, () => Buffer.concat([header, inner])));
  const spoiled = good.map((bytes, i) => (i === 2 ? flipped(bytes, bytes.length - 20) : bytes));
  spoiled.forEach((bytes, i) => {
    rig.stageUdp(i, bytes);
  });
  assert.equal(addon.udpSend(rig.farEngine, 0, spoiled.length), 0);
  while (rig.count('inPackets') < 5) rig.forwarder.breath.take();
  assert.deepEqual(drops(rig), { [reason]: 1 });
  assert.equal(rig.count('deliveredPackets'), 4);

  for (const bytes of [pattern(1), pattern(31), pattern(32), pattern(60_000)]) {
    const before = rig.count('inPackets');
    rig.stageUdp(0, bytes);
    addon.udpSend(rig.farEngine, 0, 1);
    while (rig.count('inPackets') === before) rig.forwarder.breath.take();
  }
  assert.equal(rig.count('deliveredPackets'), 4);
  assert.ok(rig.isBalanced());
  rig.close();
  process.stdout.write(`${kind} IPv${family}: one of five did not open, dropped once: ${reason}\n`);
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] as number) ^ 1;
  return copy;
}

function vxlanHeader(family: 4 | 6): Uint8Array {
  return Uint8Array.of(
    ...[8, 0, 0, 0, 0, 0, 1, 0],
    ...[2, 0, 0, 0, 0, 1],
    ...[2, 0, 0, 0, 0, 2],
    ...(family === 4 ? [8, 0] : [0x86, 0xdd]),
  );
}

checkSegments();
checkWire();
checkWithoutSession();
checkNode('vxlan', 4, 'inBadHeader');
checkNode('vxlan', 6, 'inBadHeader');
checkNode('udp', 4, 'inNotIp');
