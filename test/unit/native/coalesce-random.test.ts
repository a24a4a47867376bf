/**
 * Random batches of several flows with defects: what leaves for the TUN, segmented again, is what came in. Nothing is lost,
 * doubled or changed, and order holds within a flow and around packets without ports. Two things are normalised, and only in
 * merged packets: an unfinished checksum is finished, and the identification of IPv4 packets with DF is not compared.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FEATURE, FEATURES_ALL, GSO_FLAG } from '../../../src/memory/layout.ts';
import {
  edited,
  HOSTS,
  ipEdited,
  type Protocol,
  spoiled,
  type Version,
} from '../../support/native/flows.ts';
import { assertGroup, TunRig, type TunRow } from '../../support/native/tun-rig.ts';
import { ipPacket, pattern, tcpPacket, udpPacket } from '../../support/packets.ts';
import {
  PROTOCOL,
  protocolOf,
  segmented,
  transportAt,
  withPartialChecksum,
} from '../../support/segmenter.ts';

interface Flow {
  version: Version;
  protocol: Protocol;
  /** counts up without DF */
  id: number;
  sequence: number;
  sourcePort: number;
  hasDf: boolean;
}

function makeFlows(): Flow[] {
  const flow = (version: Version, protocol: Protocol, sourcePort: number, hasDf = true): Flow => {
    return { version, protocol, id: 0xfff0, sequence: 0xffff_f000, sourcePort, hasDf };
  };
  return [
    flow(4, 'tcp', 4000),
    flow(4, 'tcp', 4001, false),
    flow(4, 'udp', 4000),
    flow(4, 'udp', 4001, false),
    flow(6, 'tcp', 4000),
    flow(6, 'udp', 4000),
  ];
}

// ---- packets of a batch ----

/** Changes to one packet; those that don't fit its family or protocol leave it as it is. */
const DEFECTS = {
  push: (packet) => (isTcp(packet) ? edited(packet, (v, at) => v.setUint8(at + 13, 0x18)) : packet),
  fin: (packet) => (isTcp(packet) ? edited(packet, (v, at) => v.setUint8(at + 13, 0x11)) : packet),
  window: (packet) => (isTcp(packet) ? edited(packet, (v, at) => v.setUint16(at + 14, 9)) : packet),
  urgent: (packet) => (isTcp(packet) ? edited(packet, (v, at) => v.setUint16(at + 18, 9)) : packet),
  ack: (packet) => (isTcp(packet) ? edited(packet, (v, at) => v.setUint32(at + 8, 9)) : packet),
  hops: (packet) => edited(packet, (v) => v.setUint8(isIp4(packet) ? 8 : 7, 9)),
  mark: (packet) => edited(packet, (v) => v.setUint8(1, isIp4(packet) ? 3 : 0x30)),
  identification: (packet) =>
    isIp4(packet) ? edited(packet, (v) => v.setUint16(4, v.getUint16(4) ^ 0x55)) : packet,
  reserved: (packet) =>
    isIp4(packet) ? edited(packet, (v) => v.setUint8(6, v.getUint8(6) | 0x80)) : packet,
  fragment: (packet) => (isIp4(packet) ? ipEdited(packet, (v) => v.setUint16(6, 0x2000)) : packet),
  checksum: (packet) =>
    spoiled(packet, (v) => v.setUint8(packet.length - 1, v.getUint8(packet.length - 1) ^ 1)),
  ipChecksum: (packet) =>
    isIp4(packet) ? spoiled(packet, (v) => v.setUint16(10, v.getUint16(10) ^ 1)) : packet,
  noChecksum: (packet) =>
    isTcp(packet) ? packet : spoiled(packet, (v, at) => v.setUint16(at + 6, 0)),
  udpLength: (packet) =>
    isTcp(packet) ? packet : edited(packet, (v, at) => v.setUint16(at + 4, 8)),
  trailer: (packet) => Uint8Array.of(...packet, 0),
} satisfies Record<string, (packet: Uint8Array) => Uint8Array>;

function isTcp(packet: Uint8Array): boolean {
  return protocolOf(packet) === PROTOCOL.tcp;
}

function isIp4(packet: Uint8Array): boolean {
  return (packet[0] as number) >> 4 === 4;
}

type Kind = keyof typeof DEFECTS | 'whole' | 'partial' | 'lost' | 'again' | 'options' | 'icmp';

interface Step {
  flow: number;
  length: number;
  kind: Kind;
}

function icmp(version: Version, length: number): Uint8Array {
  const transport = Uint8Array.of(version === 4 ? 8 : 128, 0, 0, 0, ...pattern(length, 3));
  return ipPacket({
    ...HOSTS[version],
    protocol: version === 4 ? 1 : 58,
    transport,
    checksumAt: 2,
  });
}

function flowPacket(flow: Flow, { length, kind }: Step, seed: number): Uint8Array {
  const fields = {
    ...HOSTS[flow.version],
    sourcePort: flow.sourcePort,
    id: flow.id,
    payload: pattern(length, seed),
  };
  const options = kind === 'options' ? { options: Uint8Array.of(1, 1, 1, 1) } : {};
  const packet =
    flow.protocol === 'tcp'
      ? tcpPacket({ ...fields, seq: flow.sequence, ...options })
      : udpPacket(fields);
  return flow.hasDf ? packet : edited(packet, (v) => v.setUint16(6, 0));
}

function makeRow(flow: Flow, step: Step, seed: number): TunRow {
  if (step.kind === 'icmp') return { packet: icmp(flow.version, step.length) };
  if (step.kind === 'lost') flow.sequence = (flow.sequence + step.length) >>> 0;
  if (step.kind === 'again') flow.sequence = (flow.sequence - step.length) >>> 0;
  const packet = flowPacket(flow, step, seed);
  flow.sequence = (flow.sequence + step.length) >>> 0;
  flow.id = (flow.id + 1) & 0xffff;
  if (step.kind === 'partial') {
    return {
      packet: withPartialChecksum(packet),
      gso: GSO_FLAG.needsCsum,
      csumStart: transportAt(packet),
      csumOffset: isTcp(packet) ? 16 : 6,
    };
  }
  const change = DEFECTS[step.kind as keyof typeof DEFECTS];
  return { packet: change ? change(packet) : packet };
}

const kinds = Object.keys(DEFECTS) as (keyof typeof DEFECTS)[];
const stepShape: fc.Arbitrary<Step> = fc.record({
  flow: fc.nat(makeFlows().length - 1),
  length: fc.oneof(
    { arbitrary: fc.constant(400), weight: 6 },
    { arbitrary: fc.constantFrom(0, 1, 399, 401), weight: 1 },
    { arbitrary: fc.integer({ min: 1, max: 900 }), weight: 1 },
  ),
  kind: fc.oneof(
    { arbitrary: fc.constant<Kind>('whole'), weight: 20 },
    { arbitrary: fc.constant<Kind>('partial'), weight: 3 },
    { arbitrary: fc.constantFrom<Kind>('lost', 'again', 'options', 'icmp'), weight: 2 },
    { arbitrary: fc.constantFrom<Kind>(...kinds), weight: 4 },
  ),
});

// ---- what must hold ----

function hostsOf(packet: Uint8Array): string {
  return isIp4(packet) ? `${packet.subarray(12, 20)}` : `${packet.subarray(8, 40)}`;
}

/** A fragment names no ports, nor does ICMP. */
function hasPorts(packet: Uint8Array): boolean {
  if (isIp4(packet) && (((packet[6] as number) & 0x3f) | (packet[7] as number)) !== 0) return false;
  return ([PROTOCOL.tcp, PROTOCOL.udp] as number[]).includes(protocolOf(packet));
}

function flowOf(packet: Uint8Array): string {
  const at = transportAt(packet);
  const ports = hasPorts(packet) ? `${packet.subarray(at, at + 4)}` : 'none';
  return `${hostsOf(packet)} ${ports} ${protocolOf(packet)}`;
}

/** Takes each write apart and finds the rows it holds: the next ones of its flow. Row numbers in the order they left. */
function leavingOrder(rig: TunRig, rows: readonly TunRow[]): number[] {
  const waiting = new Map<string, number[]>();
  rows.forEach(({ packet }, index) => {
    const flow = flowOf(packet);
    waiting.set(flow, [...(waiting.get(flow) ?? []), index]);
  });
  return rig.take().flatMap((written) => {
    const queue = waiting.get(flowOf(written.packet)) ?? [];
    const group = queue.splice(0, segmented(written).length);
    assertGroup(
      written,
      group.map((index) => rows[index] as TunRow),
    );
    return group;
  });
}

function assertOrder(rows: readonly TunRow[], order: readonly number[]): void {
  const place = rows.map((_, index) => order.indexOf(index));
  const hosts = rows.map(({ packet }) => hostsOf(packet));
  const ports = rows.map(({ packet }) => hasPorts(packet));
  const flows = rows.map(({ packet }) => flowOf(packet));
  for (let late = 0; late < rows.length; late++) {
    for (let early = 0; early < late; early++) {
      const isBound =
        flows[early] === flows[late] ||
        (hosts[early] === hosts[late] && !(ports[early] && ports[late]));
      if (isBound)
        assert.ok((place[early] as number) < (place[late] as number), `${early}, ${late}`);
    }
  }
}

function checkBatch(rig: TunRig, steps: readonly Step[]): number {
  const flows = makeFlows();
  const rows = steps.map((step, index) => makeRow(flows[step.flow] as Flow, step, index + 1));
  const merged = rig.stat('coalesced');
  rig.fill(rows);
  assert.equal(rig.send(rows.length), 0);
  const order = leavingOrder(rig, rows);
  assert.deepEqual(
    order.toSorted((a, b) => a - b),
    [...rows.keys()],
    'each row once',
  );
  assertOrder(rows, order);
  return rig.stat('coalesced') - merged;
}

const FEATURE_SETS: [string, number][] = [
  ['all features', FEATURES_ALL],
  ['UDP alone as it is', FEATURES_ALL & ~FEATURE.coalesceUdp],
  ['TCP alone as it is', FEATURES_ALL & ~FEATURE.coalesceTcp],
];

for (const [name, features] of FEATURE_SETS) {
  test(`random batches, ${name}: segmented again, the output is the input`, () => {
    const rig = new TunRig(features);
    let merged = 0;
    let total = 0;
    fc.assert(
      fc.property(fc.array(stepShape, { minLength: 1, maxLength: 50, size: 'max' }), (steps) => {
        merged += checkBatch(rig, steps);
        total += steps.length;
      }),
      { numRuns: 150 },
    );
    assert.ok(merged > total / 20, `${merged} of ${total} packets merged`);
    assert.equal(rig.stat('gsoFallbacks'), 0);
    rig.end();
  });
}

test('random batches without defects, one flow each: as few writes as the sizes allow', () => {
  const rig = new TunRig();
  const shape = fc.record({
    flow: fc.nat(5),
    lengths: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 40 }),
  });
  fc.assert(
    fc.property(shape, ({ flow, lengths }) => {
      const steps = lengths.map((length): Step => ({ flow, length, kind: 'whole' }));
      let groups = 0;
      let size = 0; // of the open group's packets; 0 = it took a shorter one
      for (const length of lengths) {
        if (size === 0 || length > size) {
          groups++;
          size = length;
        } else if (length < size) size = 0;
      }
      assert.equal(checkBatch(rig, steps), lengths.length - groups);
    }),
    { numRuns: 150 },
  );
  rig.end();
});

test('random rows over random bytes never crash, and each is written or refused', () => {
  const rig = new TunRig();
  const edge = fc.oneof(
    fc.integer(),
    fc.integer({ min: -2, max: 200 }),
    fc.constantFrom(65535, 65536, 257, 260, 261),
  );
  const mutation = fc.record({
    row: fc.nat(9),
    at: fc.nat(70),
    value: fc.nat(255),
    column: fc.nat(5),
    edge,
    spoilsRow: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(stepShape, { minLength: 10, maxLength: 10 }),
      fc.array(mutation),
      (steps, mutations) => {
        const flows = makeFlows();
        rig.fill(steps.map((step, index) => makeRow(flows[step.flow] as Flow, step, index + 1)));
        for (const { row, at, value, column, edge: number, spoilsRow } of mutations) {
          if (spoilsRow) rig.row(row)[column] = number;
          else rig.views.pool[(rig.row(row)[0] as number) + at] = value;
        }
        const lengths = steps.map((_, index) => rig.row(index)[1]);
        const before = [rig.stat('tunWrites'), rig.stat('coalesced')] as const;
        const failed = rig.send(steps.length);
        const writes = rig.stat('tunWrites') - before[0];
        const skipped = lengths.filter((length) => length === 0).length;
        assert.equal(rig.take().length, writes);
        assert.equal(writes + rig.stat('coalesced') - before[1] + failed + skipped, steps.length);
      },
    ),
    { numRuns: 300 },
  );
  rig.end();
});
