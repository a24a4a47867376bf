import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FEATURE, FEATURES_ALL, GSO, GSO_FLAG, LAYOUT, ROW } from '../../../src/memory/layout.ts';
import {
  buildPacket,
  ip4HeaderValid,
  type Packet,
  type PacketInput,
  PROTOCOL,
  pattern,
  transportValid,
} from '../../support/native/packets.ts';
import { type Datagram, makeRig, type RowInput } from '../../support/native/rig.ts';

const ENCAPSULATION = pattern(22, 99); // as VXLAN: 8 + 14 bytes
const FLAG = { fin: 0x01, psh: 0x08, ack: 0x10, cwr: 0x80 } as const;

function gsoType(input: PacketInput): number {
  if (input.protocol === 'udp') return GSO.udpL4;
  return input.version === 4 ? GSO.tcp4 : GSO.tcp6;
}

function superRow(input: PacketInput, gsoSize: number, encapsulation = ENCAPSULATION): RowInput {
  const packet = buildPacket(input);
  return {
    bytes: Buffer.concat([encapsulation, packet.bytes]),
    headerBytes: encapsulation.length,
    gso: gsoType(input) | GSO_FLAG.needsCsum,
    gsoSize,
    csumStart: packet.start,
    csumOffset: input.protocol === 'tcp' ? 16 : 6,
  };
}

/** Checks one segment against the packet it was cut from; returns its payload. */
function checkSegment(
  datagram: Buffer,
  input: PacketInput,
  whole: Packet,
  place: { index: number; at: number; last: boolean },
): Buffer {
  assert.ok(datagram.subarray(0, ENCAPSULATION.length).equals(ENCAPSULATION));
  const ip = datagram.subarray(ENCAPSULATION.length);
  if (input.version === 4) {
    assert.equal(ip.readUInt16BE(2), ip.length, 'total length');
    assert.equal(ip.readUInt16BE(4), ((input.id ?? 7) + place.index) & 0xffff, 'identification');
    assert.ok(ip4HeaderValid(ip), 'IP header checksum');
  } else {
    assert.equal(ip.readUInt16BE(4), ip.length - 40, 'payload length');
  }
  assert.ok(transportValid(ip, whole.start, PROTOCOL[input.protocol]), 'transport checksum');
  if (input.protocol === 'udp') {
    assert.equal(ip.readUInt16BE(whole.start + 4), ip.length - whole.start, 'UDP length');
    assert.notEqual(ip.readUInt16BE(whole.start + 6), 0, 'UDP checksum is never 0');
  } else {
    const sequence = ((input.sequence ?? 1000) + place.at) >>> 0;
    assert.equal(ip.readUInt32BE(whole.start + 4), sequence, 'sequence');
    let flags = input.flags ?? FLAG.ack;
    if (place.index > 0) flags &= ~FLAG.cwr;
    if (!place.last) flags &= ~(FLAG.fin | FLAG.psh);
    assert.equal(ip[whole.start + 13], flags, 'flags');
  }
  restore(ip, whole, input);
  const headers = ip.subarray(0, whole.headerBytes);
  assert.ok(headers.equals(whole.bytes.subarray(0, whole.headerBytes)), 'the other header bytes');
  return ip.subarray(whole.headerBytes);
}

/** Puts back the fields that cutting changes; everything else must be the same. */
function restore(ip: Buffer, whole: Packet, input: PacketInput): void {
  const copy = (at: number, bytes: number) => whole.bytes.copy(ip, at, at, at + bytes);
  if (input.version === 4) {
    copy(2, 4);
    copy(10, 2);
  } else copy(4, 2);
  if (input.protocol === 'udp') copy(whole.start + 4, 4);
  else {
    copy(whole.start + 4, 4);
    copy(whole.start + 13, 1);
    copy(whole.start + 16, 2);
  }
}

function checkSuper(received: Datagram[], input: PacketInput, gsoSize: number): void {
  const whole = buildPacket(input);
  const count = Math.max(1, Math.ceil(input.payload.length / gsoSize));
  assert.equal(received.length, count, 'segments');
  const payload = received.map(({ bytes }, index) =>
    checkSegment(bytes, input, whole, { index, at: index * gsoSize, last: index === count - 1 }),
  );
  assert.ok(Buffer.concat(payload).equals(input.payload as Buffer), 'payload');
}

const ALL_FLAGS = FLAG.fin | FLAG.psh | FLAG.ack | FLAG.cwr;
const SUPERS: [string, PacketInput, number][] = [
  [
    'TCP over IPv4',
    { version: 4, protocol: 'tcp', payload: pattern(64000), tcpOptions: 12, flags: ALL_FLAGS },
    1398,
  ],
  [
    'TCP over IPv6',
    { version: 6, protocol: 'tcp', payload: pattern(64000), tcpOptions: 12, flags: ALL_FLAGS },
    1378,
  ],
  ['UDP over IPv4', { version: 4, protocol: 'udp', payload: pattern(60001) }, 1422],
  ['UDP over IPv6', { version: 6, protocol: 'udp', payload: pattern(60001) }, 1402],
];

for (const [name, input, gsoSize] of SUPERS) {
  for (const udpGso of [true, false]) {
    test(`${name}, 64 KiB, UDP_SEGMENT ${udpGso}: every segment is whole and right`, () => {
      const features = udpGso ? FEATURES_ALL : FEATURES_ALL & ~FEATURE.udpGso;
      const rig = makeRig({ features, gro: udpGso });
      const wrapping = { ...input, sequence: 0xffff_f000, id: 0xfff0 };
      assert.equal(rig.send([superRow(wrapping, gsoSize)]), 0);
      const count = Math.ceil(input.payload.length / gsoSize);
      assert.equal(rig.stat('udpDatagramsOut'), count);
      const headers = ENCAPSULATION.length + buildPacket(input).headerBytes;
      const perMessage = udpGso ? Math.floor(65507 / (headers + gsoSize)) : 1;
      assert.equal(rig.stat('udpMessagesOut'), Math.ceil(count / perMessage));
      checkSuper(rig.receive(count), wrapping, gsoSize);
      rig.end();
    });
  }
}

test('the rest of a super-packet shares the next one’s message', () => {
  const rig = makeRig();
  const input: PacketInput = { version: 4, protocol: 'tcp', payload: pattern(46 * 1398) };
  assert.equal(rig.send([superRow(input, 1398), superRow(input, 1398)]), 0);
  assert.equal(rig.stat('udpDatagramsOut'), 92);
  // (65507 / (22 + 40 + 1398)) = 44 datagrams fill a message: 44 + 44 + 4, not 44 + 2 + 44 + 2
  assert.equal(rig.stat('udpMessagesOut'), 3);
  const received = rig.receive(92);
  checkSuper(received.slice(0, 46), input, 1398);
  checkSuper(received.slice(46), input, 1398);
  rig.end();
});

test('a full batch of super-packets outgrows the arenas and still arrives', () => {
  const features = FEATURES_ALL & ~FEATURE.udpGso;
  for (const rig of [makeRig(), makeRig({ features, gro: false })]) {
    const input: PacketInput = { version: 4, protocol: 'tcp', payload: pattern(10000) };
    const rows = Array.from({ length: 64 }, () => superRow(input, 100));
    assert.equal(rig.send(rows.slice(0, 8)), 0);
    const received = rig.receive(800);
    assert.equal(received.length, 800);
    for (let at = 0; at < 800; at += 100) checkSuper(received.slice(at, at + 100), input, 100);
    assert.equal(rig.send(rows), 0);
    assert.equal(rig.stat('udpDatagramsOut'), 800 + 6400);
    rig.end();
  }
});

test('NEEDS_CSUM without a gso type: the checksum is finished, once', () => {
  const rig = makeRig();
  for (const version of [4, 6] as const) {
    for (const protocol of ['tcp', 'udp'] as const) {
      const input: PacketInput = { version, protocol, payload: pattern(701) };
      const whole = buildPacket(input);
      const row = { ...superRow(input, 0), gso: GSO_FLAG.needsCsum };
      assert.equal(rig.send([row]), 0);
      assert.equal((rig.views.tunIn[ROW.gso] as number) & GSO_FLAG.needsCsum, 0);
      assert.equal(rig.addon.udpSend(rig.engine, rig.link, 1), 0); // sent again: still right
      for (const { bytes } of rig.receive(2)) {
        assert.equal(bytes.length, ENCAPSULATION.length + whole.bytes.length);
        const ip = bytes.subarray(ENCAPSULATION.length);
        assert.ok(transportValid(ip, whole.start, PROTOCOL[protocol]));
      }
    }
  }
  rig.end();
});

test('a UDP checksum that comes out as 0 is sent as 0xffff', () => {
  const rig = makeRig();
  const payload = Buffer.alloc(2);
  const input: PacketInput = { version: 4, protocol: 'udp', payload };
  // Choose the payload word that makes the sum 0xffff, whose complement is 0.
  rig.send([{ ...superRow(input, 0), gso: GSO_FLAG.needsCsum }]);
  const checksum = (rig.receive(1)[0] as Datagram).bytes.readUInt16BE(ENCAPSULATION.length + 26);
  payload.writeUInt16BE(checksum, 0);
  for (const gso of [GSO_FLAG.needsCsum, GSO_FLAG.needsCsum | GSO.udpL4]) {
    rig.send([{ ...superRow({ ...input, payload }, 100), gso }]);
    const { bytes } = rig.receive(1)[0] as Datagram;
    assert.equal(bytes.readUInt16BE(ENCAPSULATION.length + 26), 0xffff);
  }
  rig.end();
});

test('plain rows keep their bytes', () => {
  const rig = makeRig();
  const bytes = pattern(500);
  rig.send([{ bytes, headerBytes: 22 }]);
  assert.ok(rig.receive(1)[0]?.bytes.equals(bytes));
  rig.end();
});

test('any super-packet: options, extension headers, odd sizes, one or no segment', () => {
  const rig = makeRig();
  const noGso = makeRig({ features: FEATURES_ALL & ~FEATURE.udpGso, gro: false });
  const shape = fc.record({
    version: fc.constantFrom(4 as const, 6 as const),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    length: fc.oneof(fc.nat(3000), fc.nat(60000)),
    extension: fc.constantFrom(0, 8, 40),
    tcpOptions: fc.constantFrom(0, 12, 40),
    flags: fc.nat(255),
    sequence: fc.nat(0xffffffff),
    id: fc.nat(0xffff),
    gsoSize: fc.integer({ min: 200, max: 9000 }),
  });
  fc.assert(
    fc.property(shape, ({ length, gsoSize, ...rest }) => {
      const input: PacketInput = { ...rest, payload: pattern(length, length) };
      const count = Math.max(1, Math.ceil(length / gsoSize));
      for (const way of [rig, noGso]) {
        assert.equal(way.send([superRow(input, gsoSize)]), 0);
        checkSuper(way.receive(count), input, gsoSize);
      }
    }),
    { numRuns: 150 },
  );
  rig.end();
  noGso.end();
});

const TCP4: PacketInput = { version: 4, protocol: 'tcp', payload: pattern(5000) };
type Spoil = (row: Int32Array, packet: Uint8Array) => void;
const set =
  (column: number, value: number): Spoil =>
  (row) => {
    row[column] = value;
  };
const poke =
  (at: number, value: number): Spoil =>
  (_row, packet) => {
    packet[at] = value;
  };
const HOSTILE: [string, Spoil][] = [
  ['negative offset', set(ROW.offset, -1)],
  ['offset past the pool', set(ROW.offset, LAYOUT.poolSlots * LAYOUT.slotStride - 10)],
  ['negative length', set(ROW.length, -5)],
  ['length of 2 GiB', set(ROW.length, 0x7fffffff)],
  ['negative header', set(ROW.headerBytes, -1)],
  ['header beyond the headroom', set(ROW.headerBytes, 129)],
  ['header as long as the packet', set(ROW.length, 22)],
  ['socket out of range', set(ROW.socket, 2)],
  ['negative socket', set(ROW.socket, -1)],
  ['port 0', set(ROW.port, 0)],
  ['port 65536', set(ROW.port, 65536)],
  ['TOS 256', set(ROW.tos, 256)],
  ['IPv6 address on an IPv4 link', set(ROW.address + 2, 1)],
  ['unknown gso type', set(ROW.gso, 2)],
  ['gso size 0', set(ROW.gsoSize, 0)],
  ['negative gso size', set(ROW.gsoSize, -1)],
  ['more than 512 segments', set(ROW.gsoSize, 9)],
  ['csum_start negative', set(ROW.csumStart, -20)],
  ['csum_start not behind the IP header', set(ROW.csumStart, 24)],
  ['csum_start past the packet', set(ROW.csumStart, 0x7ffffff0)],
  ['TCPv6 type on IPv4', set(ROW.gso, GSO.tcp6)],
  ['UDP type on TCP', set(ROW.gso, GSO.udpL4)],
  ['length other than the IP header says', set(ROW.length, 4000)],
  ['IP version 5', poke(0, 0x55)],
  ['IHL 4', poke(0, 0x44)],
  ['TCP data offset 4', poke(32, 0x40)],
];

test('hostile rows are ROW_BAD and harm no other', () => {
  const rig = makeRig();
  for (const [name, spoil] of HOSTILE) {
    rig.setRow(0, { bytes: pattern(64, 1) });
    rig.setRow(1, superRow(TCP4, 1398));
    rig.setRow(2, { bytes: pattern(64, 2) });
    const slot = LAYOUT.slotStride + LAYOUT.slotHeadroom;
    spoil(
      rig.views.tunIn.subarray(LAYOUT.rowInts, 2 * LAYOUT.rowInts),
      rig.views.pool.subarray(slot),
    );
    assert.equal(rig.addon.udpSend(rig.engine, rig.link, 3), 1, name);
    assert.deepEqual([0, 1, 2].map(rig.result), [0, LAYOUT.rowBad, 0], name);
    assert.equal(rig.receive(2).length, 2, name);
  }
  rig.end();
});

test('an IPv6 super-packet must be as long as its header says', () => {
  const rig = makeRig();
  const row = superRow({ ...TCP4, version: 6 }, 1000);
  (row.bytes as Buffer).writeUInt16BE(4000, ENCAPSULATION.length + 4);
  assert.equal(rig.send([row]), 1);
  assert.equal(rig.result(0), LAYOUT.rowBad);
  rig.end();
});

test('a TCP data offset past the end of the packet is refused', () => {
  const rig = makeRig();
  const row = superRow({ ...TCP4, payload: pattern(10) }, 1000);
  row.bytes[ENCAPSULATION.length + 32] = 0xf0;
  assert.equal(rig.send([row]), 1);
  assert.equal(rig.result(0), LAYOUT.rowBad);
  rig.end();
});

test('headers longer than a block are refused', () => {
  const rig = makeRig();
  const input: PacketInput = { ...TCP4, extension: 40, tcpOptions: 40 };
  assert.equal(rig.send([superRow(input, 1000, pattern(100))]), 1);
  assert.equal(rig.result(0), LAYOUT.rowBad);
  const v6: PacketInput = { ...TCP4, version: 6, extension: 160 };
  assert.equal(rig.send([superRow(v6, 1000, pattern(22))]), 1);
  rig.end();
});

test('a partial checksum outside the packet is refused', () => {
  const rig = makeRig();
  const row = { ...superRow(TCP4, 0), gso: GSO_FLAG.needsCsum };
  for (const [csumStart, csumOffset] of [
    [0, 16],
    [20, -1],
    [20, 0x7fffffff],
    [5039, 0],
    [0x7fffffff, 0x7fffffff],
  ] as const) {
    assert.equal(rig.send([{ ...row, csumStart, csumOffset }]), 1);
  }
  assert.equal(rig.send([row]), 0);
  rig.end();
});

test('random rows over random bytes never crash', () => {
  const rig = makeRig();
  const edge = fc.oneof(
    fc.integer(),
    fc.integer({ min: -2, max: 200 }),
    fc.constantFrom(65536, 65664, 1398, 257, 260, 261),
  );
  const row = fc.array(edge, { minLength: 10, maxLength: 10 });
  const valid = superRow(TCP4, 1398);
  const mutation = fc.record({ at: fc.nat(70), value: fc.nat(255), column: fc.nat(9), edge });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 8 }), fc.array(mutation), (rows, mutations) => {
      rows.forEach((columns, index) => {
        rig.setRow(index, valid);
        rig.views.tunIn.set(columns, index * LAYOUT.rowInts);
      });
      mutations.forEach(({ at, value, column, edge: number }, order) => {
        const index = 8 + (order % 8);
        rig.setRow(index, valid);
        rig.views.pool[index * LAYOUT.slotStride + LAYOUT.slotHeadroom + at] = value;
        if (order & 1) rig.views.tunIn[index * LAYOUT.rowInts + column] = number;
      });
      const failed = rig.addon.udpSend(rig.engine, rig.link, 16);
      assert.ok(failed >= 0 && failed <= 16);
      while (rig.addon.udpReceive(rig.engine, rig.link) > 0);
    }),
    { numRuns: 300 },
  );
  rig.end();
});
