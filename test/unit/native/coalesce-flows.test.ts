/** Several flows in one batch, rows that come with offload fields, and a TUN that refuses. */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { test } from 'node:test';
import { FEATURES_ALL, GSO, GSO_FLAG, LAYOUT, ROW } from '../../../src/memory/layout.ts';
import {
  edited,
  HOSTS,
  rowsOf,
  spoiled,
  tcp,
  udp,
  VERSIONS,
  type Version,
} from '../../support/native/flows.ts';
import { TunRig, type TunRow } from '../../support/native/tun-rig.ts';
import { ipPacket, pattern } from '../../support/packets.ts';
import { withPartialChecksum } from '../../support/segmenter.ts';

const GROUPS = 16;
const { EAGAIN, EINVAL } = constants.errno;

function check(packets: readonly Uint8Array[], groups: number[][]): void {
  const rig = new TunRig();
  rig.expect(rowsOf(packets), groups);
  rig.end();
}

test('interleaved flows: each merges on its own, the oldest leaves first', () => {
  const packets = [0, 1, 2].flatMap((index) => [
    tcp(4, index),
    tcp(4, index, { sourcePort: 4001 }),
    udp(4, index), // same addresses and ports as the first
    tcp(6, index),
    udp(6, index),
    tcp(4, index, { source: HOSTS[4].destination, destination: HOSTS[4].source }),
  ]);
  check(
    packets,
    [0, 1, 2, 3, 4, 5].map((flow) => [flow, flow + 6, flow + 12]),
  );
});

test('a flow keeps its order when a group ends between others', () => {
  const other = { destinationPort: 5001 };
  const rows = [tcp(4, 0), udp(4, 0, other), tcp(4, 2), udp(4, 1, other), tcp(4, 1), tcp(4, 3)];
  check(rows, [[0], [2], [4], [1, 3], [5]]);
});

test('as many flows as groups all merge; one more costs the oldest its group', () => {
  const flow = (port: number, index: number) => tcp(4, index, { sourcePort: 4000 + port });
  const ports = Array.from({ length: GROUPS }, (_, port) => port);
  check(
    [...ports.map((port) => flow(port, 0)), ...ports.map((port) => flow(port, 1))],
    ports.map((port) => [port, port + GROUPS]),
  );
  // Seventeen: the last opened is served first, so only the first flow comes too late.
  const more = [...ports, GROUPS];
  const last = 2 * GROUPS + 1;
  const merged = more.slice(1).map((port) => [port, last - port]);
  const packets = [
    ...more.map((port) => flow(port, 0)),
    ...more.toReversed().map((port) => flow(port, 1)),
  ];
  check(packets, [[0], ...merged, [last]]);
});

test('a flow that lost its group opens another', () => {
  const flow = (port: number, index: number) => udp(6, index, { sourcePort: 4000 + port });
  const others = Array.from({ length: GROUPS }, (_, port) => flow(port + 1, 0));
  const alone = others.map((_, index) => [index + 2]);
  check(
    [flow(0, 0), flow(0, 1), ...others, flow(0, 2), flow(0, 3)],
    [[0, 1], ...alone, [GROUPS + 2, GROUPS + 3]],
  );
});

function icmp(version: Version, hosts: { source: string; destination: string }): Uint8Array {
  const transport = Uint8Array.of(version === 4 ? 8 : 128, 0, 0, 0, 0, 1, 0, 1);
  return ipPacket({ ...hosts, protocol: version === 4 ? 1 : 58, transport, checksumAt: 2 });
}

test('a packet without ports keeps its place among the packets of its hosts', () => {
  for (const version of VERSIONS) {
    const between = icmp(version, HOSTS[version]);
    const elsewhere = icmp(version, {
      source: HOSTS[version].source,
      destination: version === 4 ? '10.42.9.9' : 'fd42:9::9',
    });
    const pair = [tcp(version, 0), udp(version, 0)];
    const next = [tcp(version, 1), udp(version, 1)];
    check([...pair, between, ...next], [[0], [1], [2], [3], [4]]);
    check([...pair, elsewhere, ...next], [[2], [0, 3], [1, 4]]);
    const other = tcp(version === 4 ? 6 : 4, 0);
    check([...pair, other, between, ...next], [[0], [1], [3], [2], [4], [5]]);
  }
});

test('a packet that cannot be merged sends its own flow ahead, no other', () => {
  const fin = edited(tcp(4, 2), (v, at) => v.setUint8(at + 13, 0x11));
  const neighbour = (index: number) => tcp(4, index, { destinationPort: 5001 });
  const rows = [tcp(4, 0), udp(4, 0), neighbour(0), tcp(4, 1), fin, udp(4, 1), neighbour(1)];
  check(rows, [[0, 3], [4], [1, 5], [2, 6]]);
});

test('a group ends with the call', () => {
  const rig = new TunRig();
  rig.expect(rowsOf([tcp(4, 0)]), [[0]]);
  rig.expect(rowsOf([tcp(4, 1), tcp(4, 2)]), [[0, 1]]);
  rig.end();
});

test('a full batch of 1024 rows', () => {
  const rows = Array.from({ length: LAYOUT.tunOutRows }, (_, index) => index);
  const groups = Array.from({ length: 8 }, (_, at) => rows.slice(at * 128, at * 128 + 128));
  check(
    rows.map((index) => tcp(4, index)),
    groups,
  );
});

test('a row of length 0 is skipped', () => {
  const rig = new TunRig();
  rig.fill(rowsOf([tcp(4, 0), udp(4, 0), tcp(4, 1)]));
  rig.row(1)[ROW.length] = 0;
  assert.equal(rig.send(3), 0);
  assert.equal(rig.take().length, 1);
  assert.equal(rig.stat('coalesced'), 1);
  rig.end();
});

// ---- offload fields ----

function superRow(version: Version, protocol: 'tcp' | 'udp'): TunRow {
  const packet = withPartialChecksum(
    (protocol === 'tcp' ? tcp : udp)(version, 1, { payload: pattern(3000) }),
  );
  const tcpType = version === 4 ? GSO.tcp4 : GSO.tcp6;
  return {
    packet,
    gso: (protocol === 'tcp' ? tcpType : GSO.udpL4) | GSO_FLAG.needsCsum,
    gsoSize: 1000,
    csumStart: version === 4 ? 20 : 40,
    csumOffset: protocol === 'tcp' ? 16 : 6,
  };
}

test('a super-packet leaves alone, with its own header, in its place', () => {
  for (const version of VERSIONS) {
    for (const protocol of ['tcp', 'udp'] as const) {
      const flow = protocol === 'tcp' ? tcp : udp;
      const row = superRow(version, protocol);
      const rig = new TunRig();
      rig.fill([{ packet: flow(version, 0) }, row, { packet: flow(version, 31) }]);
      assert.equal(rig.send(3), 0);
      const written = rig.take();
      assert.deepEqual(
        written.map((one) => one.packet.length),
        [flow(version, 0).length, row.packet.length, flow(version, 31).length],
      );
      assert.deepEqual(written[1], {
        flags: 1,
        gsoType: (row.gso as number) & 0xff,
        headerBytes: (version === 4 ? 20 : 40) + (protocol === 'tcp' ? 20 : 8),
        gsoSize: 1000,
        csumStart: row.csumStart,
        csumOffset: row.csumOffset,
        packet: row.packet,
      });
      rig.end();
    }
  }
});

const HOSTILE: [string, Partial<Record<keyof typeof ROW, number>>][] = [
  ['negative offset', { offset: -1 }],
  ['offset past the pool', { offset: LAYOUT.poolSlots * LAYOUT.slotStride - 10 }],
  ['negative length', { length: -5 }],
  ['length of 2 GiB', { length: 0x7fffffff }],
  ['gso size 0', { gsoSize: 0 }],
  ['negative gso size', { gsoSize: -1 }],
  ['gso size 65535', { gsoSize: 65535 }],
  ['checksum start behind the packet', { csumStart: 4000 }],
  ['checksum start at the packet’s end', { csumStart: 3040 }],
  ['negative checksum start', { csumStart: -1 }],
  ['checksum offset behind the packet', { csumOffset: 3019 }],
  ['negative checksum offset', { csumOffset: -1 }],
  ['huge checksum offset', { csumOffset: 0x7fffffff }],
  ['transport behind the packet, no checksum asked for', { gso: GSO.udpL4, csumStart: 4000 }],
  ['no room for a TCP header', { csumStart: 3021, csumOffset: 0 }],
  ['no TCP header where it should be', { csumStart: 0 }],
];

test('hostile rows are ROW_BAD and harm no other', () => {
  const rig = new TunRig();
  for (const [name, columns] of HOSTILE) {
    const row = superRow(4, 'tcp');
    if (name.startsWith('no TCP')) row.packet = spoiled(row.packet, (v) => v.setUint8(12, 0x10));
    rig.fill([{ packet: udp(4, 0) }, row, { packet: udp(4, 1) }]);
    for (const [column, value] of Object.entries(columns)) {
      rig.row(1)[ROW[column as keyof typeof ROW]] = value;
    }
    assert.equal(rig.send(3), 1, name);
    assert.deepEqual(
      [0, 1, 2].map((index) => rig.result(index)),
      [0, LAYOUT.rowBad, 0],
      name,
    );
    assert.equal(rig.take().length, 1, name);
  }
  rig.end();
});

// ---- a TUN that refuses ----

test('when the queue is full, each row of the refused group says so', () => {
  const rig = new TunRig();
  const big = (index: number) => tcp(4, 0, { sourcePort: index, payload: pattern(30000) });
  const batch = [...Array.from({ length: 20 }, (_, index) => big(index)), udp(4, 0), udp(4, 1)];
  rig.fill(rowsOf(batch));
  const failed = rig.send(batch.length);
  const results = batch.map((_, index) => rig.result(index));
  const refused = results.filter((result) => result === EAGAIN).length;
  assert.ok(refused > 0 && refused < 20, `${refused} refused`);
  assert.equal(failed, refused);
  assert.ok(results.every((result) => result === 0 || result === EAGAIN));
  const packets = rig.take().length;
  assert.equal(rig.stat('tunWrites'), packets);
  assert.equal(packets + rig.stat('coalesced'), batch.length - refused);
  rig.fill(rowsOf(batch));
  for (let round = 0; round < 10; round++) rig.send(20);
  rig.fill(
    rowsOf([udp(4, 0, { payload: pattern(30000) }), udp(4, 1, { payload: pattern(30000) })]),
  );
  assert.equal(rig.send(2), 2);
  assert.deepEqual([rig.result(0), rig.result(1)], [EAGAIN, EAGAIN]);
  rig.end();
});

/** Descriptors that may be waited for but answer every write with EINVAL. */
function epollFds(): number[] {
  return readdirSync('/proc/self/fd')
    .filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:[eventpoll]';
      } catch {
        return false; // the listing's own descriptor is gone
      }
    })
    .map(Number);
}

test('a group refused with EINVAL goes packet by packet, and no other is tried', () => {
  const before = new Set(epollFds());
  const helper = new TunRig();
  const refusing = epollFds().find((fd) => !before.has(fd)) as number;
  const rig = new TunRig(FEATURES_ALL, refusing);
  const send = (rows: Uint8Array[], fallbacks: number) => {
    rig.fill(rowsOf(rows));
    assert.equal(rig.send(rows.length), rows.length);
    assert.deepEqual(
      rows.map((_, index) => rig.result(index)),
      rows.map(() => EINVAL),
    );
    assert.equal(rig.stat('gsoFallbacks'), fallbacks);
    assert.equal(rig.stat('coalesced'), 0);
  };
  send([tcp(4, 0)], 0);
  send([tcp(4, 0), tcp(4, 1), tcp(4, 2)], 1);
  send([tcp(4, 0), tcp(4, 1)], 1);
  send([udp(4, 0), udp(4, 1)], 2); // the other protocol is tried for itself
  send([udp(4, 0), udp(4, 1), tcp(6, 0), tcp(6, 1)], 2);
  rig.end();
  helper.end();
});
