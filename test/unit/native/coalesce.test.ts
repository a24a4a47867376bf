/** What is merged on the way to the TUN and what is not, rule by rule. Groups name the rows that one write holds. */
import { test } from 'node:test';
import { FEATURE, FEATURES_ALL, GSO_FLAG } from '../../../src/memory/layout.ts';
import {
  BYTES,
  type Edit,
  edited,
  FLOW,
  ipEdited,
  type Protocol,
  rowsOf,
  spoiled,
  tcp,
  udp,
  VERSIONS,
  type Version,
} from '../../support/native/flows.ts';
import { TunRig, type TunRow } from '../../support/native/tun-rig.ts';
import { pattern, type TcpFields } from '../../support/packets.ts';
import {
  TCP_FLAG,
  transportAt,
  viewOf,
  withPartialChecksum,
  writeIpChecksum,
} from '../../support/segmenter.ts';

type Groups = number[][];

const MERGED: Groups = [[0, 1]];
const APART: Groups = [[0], [1]];

function check(packets: readonly Uint8Array[], groups: Groups, bad = 0): void {
  const rig = new TunRig();
  rig.expect(rowsOf(packets), groups, bad);
  rig.end();
}

function sequence(protocol: Protocol, version: Version, lengths: readonly number[]): Uint8Array[] {
  let seq = 0xffff_ff00; // wraps on the way
  return lengths.map((length, index) => {
    const packet = FLOW[protocol](version, index, {
      payload: pattern(length, index),
      seq,
    } as TcpFields);
    seq = (seq + length) >>> 0;
    return packet;
  });
}

for (const version of VERSIONS) {
  for (const protocol of ['tcp', 'udp'] as const) {
    const packet = FLOW[protocol];

    test(`${protocol} over IPv${version}: packets that follow each other merge`, () => {
      check([packet(version, 0), packet(version, 1)], MERGED);
      check(sequence(protocol, version, [90, 90, 90, 90, 90]), [[0, 1, 2, 3, 4]]);
      check([packet(version, 0)], [[0]]);
    });

    test(`${protocol} over IPv${version}: sizes`, () => {
      check(sequence(protocol, version, [100, 99]), MERGED);
      check(sequence(protocol, version, [100, 1]), MERGED);
      check(sequence(protocol, version, [1, 1]), MERGED);
      check(sequence(protocol, version, [100, 101]), APART);
      check(sequence(protocol, version, [100, 60, 60]), [[0, 1], [2]]);
      check(sequence(protocol, version, [100, 60, 40]), [[0, 1], [2]]);
      check(sequence(protocol, version, [100, 0, 100]), [[0], [1], [2]]);
      check(sequence(protocol, version, [0, 0]), APART);
      check(sequence(protocol, version, [100, 100, 120, 120]), [
        [0, 1],
        [2, 3],
      ]);
    });

    test(`${protocol} over IPv${version}: the total has a limit`, () => {
      const most = 65535 - 18 - (version === 4 ? 20 : 40) - (protocol === 'tcp' ? 20 : 8);
      check(sequence(protocol, version, [40000, most - 40000]), MERGED);
      check(sequence(protocol, version, [40000, most - 40000 + 1]), APART);
      check(sequence(protocol, version, [most]), [[0]]);
      check(sequence(protocol, version, [most + 1]), [[0]]);
      const fit = Math.floor(most / 9000);
      const rows = Array.from({ length: fit + 2 }, (_, index) => index);
      const sizes = rows.map(() => 9000);
      check(sequence(protocol, version, sizes), [rows.slice(0, fit), rows.slice(fit)]);
    });

    test(`${protocol} over IPv${version}: the number of packets has a limit`, () => {
      const limit = protocol === 'tcp' ? 128 : 64;
      const rows = Array.from({ length: limit + 2 }, (_, index) => index);
      const sizes = rows.map(() => 30);
      check(sequence(protocol, version, sizes), [rows.slice(0, limit), rows.slice(limit)]);
    });

    test(`${protocol} over IPv${version}: a wrong checksum is passed on and counted`, () => {
      const [a, b, c] = [0, 1, 2].map((index) => packet(version, index)) as [
        Uint8Array,
        Uint8Array,
        Uint8Array,
      ];
      const wrong = (good: Uint8Array) =>
        spoiled(good, (v) => v.setUint8(good.length - 1, 0xff ^ v.getUint8(good.length - 1)));
      check([wrong(a), b, c], [[0], [1, 2]], 1);
      check([a, wrong(b), c], [[0], [1], [2]], 1);
      check([a, b, wrong(c)], [[0, 1], [2]], 1);
      check([wrong(a), wrong(b)], APART, 1);
    });

    test(`${protocol} over IPv${version}: unfinished checksums`, () => {
      const needs = (index: number): TunRow => ({
        packet: withPartialChecksum(packet(version, index)),
        gso: GSO_FLAG.needsCsum,
        csumStart: version === 4 ? 20 : 40,
        csumOffset: protocol === 'tcp' ? 16 : 6,
      });
      const has = (index: number): TunRow => ({ packet: packet(version, index) });
      const rig = new TunRig();
      rig.expect([needs(0), needs(1), needs(2)], [[0, 1, 2]]);
      rig.expect([needs(0), has(1)], MERGED);
      rig.expect([has(0), needs(1)], MERGED);
      rig.expect([needs(0)], [[0]]);
      rig.expect([needs(0), needs(2)], protocol === 'tcp' ? APART : MERGED);
      const elsewhere = { ...needs(1), csumStart: 0 };
      rig.expect([needs(0), elsewhere], APART);
      rig.expect([needs(0), { ...needs(1), csumOffset: 0 }], APART);
      rig.end();
    });

    test(`${protocol} over IPv${version}: switched off, each packet leaves alone`, () => {
      const own = protocol === 'tcp' ? FEATURE.coalesceTcp : FEATURE.coalesceUdp;
      const other = protocol === 'tcp' ? FEATURE.coalesceUdp : FEATURE.coalesceTcp;
      for (const [off, groups] of [
        [own, APART],
        [FEATURE.batch, APART],
        [FEATURES_ALL, APART],
        [other, MERGED],
      ] as const) {
        const rig = new TunRig(FEATURES_ALL & ~off);
        rig.expect(rowsOf([packet(version, 0), packet(version, 1)]), groups);
        rig.end();
      }
    });
  }
}

// ---- TCP ----

const TCP_DIFFERENCES: [string, Edit][] = [
  ['a gap', (v, at) => v.setUint32(at + 4, 1000 + BYTES + 1)],
  ['an overlap', (v, at) => v.setUint32(at + 4, 1000 + BYTES - 1)],
  ['the same segment again', (v, at) => v.setUint32(at + 4, 1000)],
  ['an earlier segment', (v, at) => v.setUint32(at + 4, 1000 - BYTES)],
  ['another acknowledgement', (v, at) => v.setUint32(at + 8, 2)],
  ['another window', (v, at) => v.setUint16(at + 14, 0x1001)],
  ['another urgent pointer', (v, at) => v.setUint16(at + 18, 1)],
];

for (const [name, edit] of TCP_DIFFERENCES) {
  test(`TCP: ${name} starts a new group`, () => {
    for (const version of VERSIONS) check([tcp(version, 0), edited(tcp(version, 1), edit)], APART);
  });
}

const NEVER: [string, Edit][] = [
  ...(['fin', 'syn', 'rst', 'urg', 'ece', 'cwr'] as const).map((flag): [string, Edit] => [
    flag.toUpperCase(),
    (v, at) => v.setUint8(at + 13, TCP_FLAG.ack | TCP_FLAG[flag]),
  ]),
  ['no ACK', (v, at) => v.setUint8(at + 13, 0)],
  ['PSH without ACK', (v, at) => v.setUint8(at + 13, TCP_FLAG.psh)],
  ...[1, 2, 4, 8].map((bit): [string, Edit] => [
    `reserved bit ${bit}`,
    (v, at) => v.setUint8(at + 12, v.getUint8(at + 12) | bit),
  ]),
];

for (const [name, edit] of NEVER) {
  test(`TCP: ${name} is never merged`, () => {
    for (const version of VERSIONS) {
      const [a, b, c] = [0, 1, 2].map((index) => tcp(version, index)) as Uint8Array[];
      const special = edited(b as Uint8Array, edit);
      check([a as Uint8Array, special, c as Uint8Array], [[0], [1], [2]]);
      check([edited(a as Uint8Array, edit), special], APART);
    }
  });
}

test('TCP: PSH ends a group and is kept', () => {
  const psh = { flags: TCP_FLAG.ack | TCP_FLAG.psh };
  for (const version of VERSIONS) {
    check([tcp(version, 0), tcp(version, 1, psh), tcp(version, 2)], [[0, 1], [2]]);
    check([tcp(version, 0, psh), tcp(version, 1)], APART);
    check([tcp(version, 0, psh), tcp(version, 1, psh)], APART);
    check(
      [tcp(version, 0), tcp(version, 1), tcp(version, 2, { ...psh, payload: pattern(9) })],
      [[0, 1, 2]],
    );
  }
});

test('TCP: equal options merge, others do not', () => {
  const stamps = Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6);
  const later = Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 7);
  const longest = new Uint8Array(40).fill(1);
  for (const version of VERSIONS) {
    const pair = (a?: Uint8Array, b?: Uint8Array) =>
      [a, b].map((options, index) => tcp(version, index, options ? { options } : {}));
    check(pair(stamps, stamps), MERGED);
    check(pair(longest, longest), MERGED);
    check(pair(stamps, later), APART);
    check(pair(stamps), APART);
    check(pair(undefined, stamps), APART);
    check(pair(longest.with(0, 2), longest), APART);
    check(pair(longest, longest.with(39, 0)), APART);
  }
});

// ---- UDP ----

test('UDP: without a checksum, or with another length than the header says, it is not merged', () => {
  for (const version of VERSIONS) {
    const pair = [udp(version, 0), udp(version, 1)] as const;
    const both = (edit: Edit) => pair.map((packet) => spoiled(packet, edit));
    check(
      both((v, at) => v.setUint16(at + 6, 0)),
      APART,
    );
    for (const length of [0, 7, 8 + BYTES - 1, 8 + BYTES + 1]) {
      const edit: Edit = (v, at) => v.setUint16(at + 4, length);
      check(
        pair.map((packet) => edited(packet, edit)),
        APART,
      );
    }
  }
});

// ---- IP ----

const IP_DIFFERENCES: Record<Version, [string, Edit][]> = {
  4: [
    ['TTL', (v) => v.setUint8(8, 63)],
    ['TOS', (v) => v.setUint8(1, 0x10)],
    ['ECN mark', (v) => v.setUint8(1, 3)],
    ['DF', (v) => v.setUint16(6, 0)],
    ['source', (v) => v.setUint8(15, 9)],
    ['destination', (v) => v.setUint8(19, 9)],
  ],
  6: [
    ['hop limit', (v) => v.setUint8(7, 63)],
    ['traffic class', (v) => v.setUint8(0, 0x61)],
    ['ECN mark', (v) => v.setUint8(1, 0x30)],
    ['flow label', (v) => v.setUint8(3, 1)],
    ['source', (v) => v.setUint8(23, 9)],
    ['destination', (v) => v.setUint8(24, 9)],
  ],
};
const PORT_DIFFERENCES: [string, Edit][] = [
  ['source port', (v, at) => v.setUint16(at, 4001)],
  ['destination port', (v, at) => v.setUint16(at + 2, 5001)],
];

for (const version of VERSIONS) {
  for (const [name, edit] of [...IP_DIFFERENCES[version], ...PORT_DIFFERENCES]) {
    test(`IPv${version}: another ${name} starts a new group`, () => {
      for (const packet of [tcp, udp]) {
        check([packet(version, 0), edited(packet(version, 1), edit)], APART);
        check([edited(packet(version, 0), edit), packet(version, 1)], APART);
        check(
          [0, 1].map((index) => edited(packet(version, index), edit)),
          MERGED,
        );
      }
    });
  }
}

test('IPv4: without DF the identification counts up within a group; with DF it means nothing', () => {
  const ids = (flags: number, list: readonly number[]) => (packet: typeof tcp | typeof udp) =>
    list.map((id, index) => {
      return edited(packet(4, index, { id }), (v) => v.setUint16(6, flags));
    });
  for (const packet of [tcp, udp]) {
    check(ids(0, [7, 8, 9])(packet), [[0, 1, 2]]);
    check(ids(0, [0xfffe, 0xffff, 0, 1])(packet), [[0, 1, 2, 3]]);
    check(ids(0, [7, 7])(packet), APART);
    check(ids(0, [7, 9])(packet), APART);
    check(ids(0, [8, 7])(packet), APART);
    check(ids(0, [7, 8, 8])(packet), [[0, 1], [2]]);
    check(ids(0, [7, 8, 10, 11])(packet), [
      [0, 1],
      [2, 3],
    ]);
    check(ids(0x4000, [0, 0, 0])(packet), [[0, 1, 2]]);
    check(ids(0x4000, [9, 3, 50000])(packet), [[0, 1, 2]]);
  }
});

test('IPv4: a wrong header checksum is passed on and counted, also when TCP’s is unfinished', () => {
  const wrong: Edit = (v) => v.setUint16(10, v.getUint16(10) ^ 1);
  for (const packet of [tcp, udp]) {
    check([spoiled(packet(4, 0), wrong), packet(4, 1), packet(4, 2)], [[0], [1, 2]], 1);
    check([packet(4, 0), spoiled(packet(4, 1), wrong)], APART, 1);
  }
  const rig = new TunRig();
  const rows = [0, 1].map((index) => ({
    packet: spoiled(withPartialChecksum(tcp(4, index)), wrong),
    gso: GSO_FLAG.needsCsum,
    csumStart: 20,
    csumOffset: 16,
  }));
  rig.expect(rows, APART, 1);
  rig.end();
});

/** The packet with header bytes put in at `at`; `edit` makes the IP header fit. */
function spliced(packet: Uint8Array, at: number, bytes: Uint8Array, edit: Edit): Uint8Array {
  const longer = new Uint8Array([...packet.subarray(0, at), ...bytes, ...packet.subarray(at)]);
  edit(viewOf(longer), at);
  writeIpChecksum(longer);
  return longer;
}

function withOptions(packet: Uint8Array): Uint8Array {
  return spliced(packet, 20, Uint8Array.of(1, 1, 1, 0), (v) => {
    v.setUint8(0, 0x46);
    v.setUint16(2, v.byteLength);
  });
}

const withExtension = (next: number, rest: readonly number[]) => (packet: Uint8Array) =>
  spliced(packet, 40, Uint8Array.of(packet[6] as number, 0, ...rest), (v) => {
    v.setUint8(6, next);
    v.setUint16(4, v.byteLength - 40);
  });

const UNMERGED: Record<Version, [string, (packet: Uint8Array) => Uint8Array][]> = {
  4: [
    ['options', withOptions],
    ['more fragments', (packet) => ipEdited(packet, (v) => v.setUint16(6, 0x2000))],
    ['a fragment offset', (packet) => ipEdited(packet, (v) => v.setUint16(6, 0x0001))],
    ['a fragment offset and DF', (packet) => ipEdited(packet, (v) => v.setUint16(6, 0x5000))],
    ['the reserved flag', (packet) => ipEdited(packet, (v) => v.setUint16(6, 0xc000))],
    ['the reserved flag alone', (packet) => ipEdited(packet, (v) => v.setUint16(6, 0x8000))],
    ['bytes behind its end', (packet) => Uint8Array.of(...packet, 0, 0)],
    ['its end cut off', (packet) => packet.slice(0, -2)],
  ],
  6: [
    ['hop-by-hop options', withExtension(0, [1, 4, 0, 0, 0, 0])],
    ['destination options', withExtension(60, [1, 4, 0, 0, 0, 0])],
    ['a routing header', withExtension(43, [4, 0, 0, 0, 0, 0])],
    ['a fragment header', withExtension(44, [0, 0, 0, 0, 0, 9])],
    ['bytes behind its end', (packet) => Uint8Array.of(...packet, 0, 0)],
    ['its end cut off', (packet) => packet.slice(0, -2)],
  ],
};

for (const version of VERSIONS) {
  for (const [name, change] of UNMERGED[version]) {
    test(`IPv${version}: a packet with ${name} leaves alone, in its place`, () => {
      for (const packet of [tcp, udp]) {
        const changed = [1, 2].map((index) => change(packet(version, index))) as Uint8Array[];
        check([packet(version, 0), ...changed, packet(version, 3)], [[0], [1], [2], [3]]);
      }
    });
  }
}

test('rows that are no IP packet, or an incomplete one, pass as they are', () => {
  const whole = [tcp(4, 0), udp(4, 0), tcp(6, 0), udp(6, 0)];
  const cut = whole.flatMap((packet) => {
    const start = transportAt(packet);
    return [1, start - 1, start, start + 7].map((length) => packet.slice(0, length));
  });
  const odd = [0x00, 0x44, 0x4f, 0x55, 0xf0].map((first) => tcp(4, 0).with(0, first));
  const offsets = [0x40, 0xf0].map((offset) => tcp(4, 0, { payload: pattern(8) }).with(32, offset));
  for (const packet of [...cut, ...odd, ...offsets]) check([packet, packet], APART);
});
