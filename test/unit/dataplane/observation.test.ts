/** What a worker leaves for observers: counters by peer, batch sizes, headers of drops, captured packets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Peer } from '../../../src/cluster/peers.ts';
import { Captures, type CaptureWish } from '../../../src/control/observe/capture.ts';
import { DropReader } from '../../../src/control/observe/drop-reader.ts';
import { Onlookers } from '../../../src/control/observe/onlookers.ts';
import { PeerLedger } from '../../../src/control/observe/peer-ledger.ts';
import { CAPTURE_RING_BYTES, SNAP_BYTES_MAX } from '../../../src/memory/capture.ts';
import { batchBucket } from '../../../src/memory/counters.ts';
import { PEER_COUNTER, PEER_COUNTERS } from '../../../src/memory/peer-counters.ts';
import { addressBytes } from '../../../src/shared/address.ts';
import { CAPTURE_BURST, DROP_SAMPLES_BURST, PEERS_MAX } from '../../../src/shared/limits.ts';
import { getOrMake } from '../../../src/shared/memo.ts';
import { ipPacket, pattern, udpPacket, vxlanPayload } from '../../support/packets.ts';
import { type RawPacket, readRawPackets } from '../../support/pcap.ts';
import { slotsIn } from '../../support/peers-of.ts';
import { prefix, Rig, words } from '../../support/rig.ts';

const OUT = { source: '10.244.1.2', destination: '10.244.2.2' };
const IN = { source: '10.244.2.2', destination: '10.244.1.2' };

const peer = (key: string, family: 4 | 6 = 4): Peer => ({
  key,
  family,
  subnet: prefix('10.244.2.0/24'),
  address: words('192.0.2.2'),
  port: 8472,
  mac: { high: 0, low: 0 },
});

function ledgerOf(...rigs: Rig[]): PeerLedger {
  const ledger = new PeerLedger(rigs.map((rig) => rig.observation.peerCounters));
  slotsIn(ledger)([peer('peer')]);
  return ledger;
}

test('the peer gets every packet that the totals have, bytes too, and the time', () => {
  const rig = new Rig();
  const ledger = ledgerOf(rig);
  assert.equal(ledger.totalsOf(peer('peer')).lastHeardAt, undefined);
  for (let i = 0; i < 20; i++) {
    rig.outbound(udpPacket({ ...OUT, payload: pattern(i) }));
    rig.inbound(vxlanPayload(udpPacket({ ...IN, payload: pattern(2 * i) })));
    rig.inbound(vxlanPayload(udpPacket(IN), 9));
    rig.takeUdp();
    rig.takeTun();
  }
  const { counters: c } = rig.totals();
  const { lastHeardAt, ...totals } = ledger.totalsOf(peer('peer'));
  assert.deepEqual(totals, {
    sentPackets: c.sentPackets,
    sentBytes: c.sentBytes,
    receivedPackets: c.deliveredPackets,
    receivedBytes: c.deliveredBytes,
  });
  assert.equal(c.sentPackets, 20);
  assert.equal(c.deliveredPackets, 20);
  assert.ok(lastHeardAt && Math.abs(Date.now() - lastHeardAt.getTime()) < 60_000);
  assert.equal(ledger.totalsOf(peer('peer')).lastHeardAt, lastHeardAt, 'the same until it changes');
  rig.close();
});

test('what the kernel refuses to send is taken back from the peer', () => {
  // A node on loopback can't send to a broadcast address.
  const rig = new Rig({ peerAddress: '255.255.255.255' });
  rig.outbound(udpPacket({ ...OUT, payload: pattern(100) }));
  const { sentPackets, sentBytes } = ledgerOf(rig).totalsOf(peer('peer'));
  assert.deepEqual([sentPackets, sentBytes, rig.drops('outUnderlayRefused')], [0, 0, 1]);
  const [sample] = new DropReader([rig.observation.dropSamples]).since(0).samples;
  assert.equal(sample?.reason, 'outUnderlayRefused');
  assert.deepEqual(sample.outer?.address, words('255.255.255.255'));
  rig.close();
});

test('a peer keeps its slot; a slot that changes hands begins at nothing', () => {
  const rig = new Rig();
  const ledger = new PeerLedger([rig.observation.peerCounters]);
  const assign = slotsIn(ledger);
  const [a, b] = assign([peer('a'), peer('b')]);
  assert.notEqual(a, b);
  assert.deepEqual(assign([peer('b'), peer('a'), peer('a', 6)]).slice(0, 2), [b, a]);
  const block = new Float64Array(rig.observation.peerCounters);
  block[(a as number) * PEER_COUNTERS + PEER_COUNTER.sentPackets] = 5;
  block[(a as number) * PEER_COUNTERS + PEER_COUNTER.lastHeardMs] = 77;
  assert.equal(ledger.totalsOf(peer('a')).sentPackets, 5);
  assign([peer('b')]);
  assert.equal(ledger.totalsOf(peer('a')).sentPackets, 0, 'no peer any more');
  const many = Array.from({ length: PEERS_MAX }, (_, i) => peer(`x${i}`));
  assert.ok(!assign(many).includes(a as number), 'there are fresh ones');
  const others = many.map(({ key }) => peer(`y${key}`));
  const slots = assign(others);
  const heir = others[slots.indexOf(a as number)];
  assert.ok(heir, 'now it is used again');
  assert.equal(new Set(slots).size, PEERS_MAX);
  assert.deepEqual(Object.values(ledger.totalsOf(heir)), [0, 0, 0, 0, undefined]);
  block[(a as number) * PEER_COUNTERS + PEER_COUNTER.sentPackets] = 8;
  assert.equal(ledger.totalsOf(heir).sentPackets, 3);
  rig.close();
});

test('batch sizes: one, two, up to four, ... more than 128', () => {
  const bounds: [number, number][] = [
    [1, 0],
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 3],
    [64, 6],
    [128, 7],
  ];
  for (const [packets, bucket] of [...bounds, [129, 8], [9000, 8]] as const)
    assert.equal(batchBucket(packets), bucket, `${packets}`);
  const rig = new Rig();
  for (let i = 0; i < 3; i++) rig.stageTun(i, udpPacket({ ...OUT, sourcePort: 5000 + i }));
  rig.addon.tunSend(rig.farEngine, 0, 3);
  rig.forwarder.breath.take();
  rig.inbound(vxlanPayload(udpPacket(IN)));
  const { batches } = rig.totals();
  assert.deepEqual(batches.outbound, [0, 0, 1, 0, 0, 0, 0, 0, 0]);
  assert.deepEqual(batches.inbound, [1, 0, 0, 0, 0, 0, 0, 0, 0]);
  rig.close();
});

test('drops leave their headers, with sender and reason, and no payload', () => {
  const rig = new Rig();
  const reader = new DropReader([rig.observation.dropSamples]);
  const secret = new TextEncoder().encode('secret'.repeat(20));
  rig.outbound(udpPacket({ ...OUT, destination: '10.244.9.9', payload: secret }));
  rig.inbound(vxlanPayload(udpPacket({ ...IN, source: '10.244.3.2', payload: secret })));
  rig.inbound(vxlanPayload(udpPacket({ ...IN, payload: secret }), 7));
  rig.inbound(secret);
  const { samples, nextSequence } = reader.since(0);
  assert.deepEqual(
    samples.map(({ sequence, reason, packetBytes, header, transport }) => [
      ...[sequence, reason, packetBytes],
      ...[header.byteLength, transport],
    ]),
    [
      [1, 'outNoRoute', 148, 28, 20],
      [2, 'inForeignSource', 148, 28, 20],
      [3, 'inWrongVni', 148, 28, 20],
      [4, 'inBadHeader', 120, 0, 0],
    ],
  );
  assert.equal(samples[0]?.outer, undefined);
  assert.deepEqual(samples[1]?.outer?.address, words('127.0.0.2'));
  const kept = new Uint8Array(rig.observation.dropSamples);
  assert.ok(!Buffer.from(kept).includes('sec'));
  assert.deepEqual(reader.since(nextSequence), { samples: [], nextSequence: 5 });
  rig.outbound(udpPacket({ ...OUT, destination: '10.244.9.9' }));
  assert.deepEqual(
    reader.since(nextSequence).samples.map(({ sequence }) => sequence),
    [5],
  );
  rig.close();
});

test('a flood of drops is counted whole and sampled in part; the newest stay', () => {
  const rig = new Rig();
  const reader = new DropReader([rig.observation.dropSamples]);
  for (let i = 0; i < 40; i++) {
    for (let k = 0; k < 50; k++)
      rig.stageTun(k, udpPacket({ ...OUT, destination: '224.0.0.5', sourcePort: 1 + i * 50 + k }));
    rig.addon.tunSend(rig.farEngine, 0, 50);
    rig.forwarder.breath.take();
  }
  assert.equal(rig.drops('outMulticast'), 2000);
  const { samples } = reader.since(0);
  assert.ok(samples.length >= DROP_SAMPLES_BURST && samples.length <= 256, `${samples.length}`);
  const ports = samples.map(({ header }) => header.getUint16(20));
  assert.deepEqual(
    ports,
    ports.toSorted((a, b) => a - b),
  );
  rig.close();
});

/** The rings have one reader for life. */
const capturesOf = new WeakMap<Rig, Captures>();

/** Captures what `traffic` makes. */
async function capture(
  rig: Rig,
  wish: Partial<CaptureWish>,
  traffic: () => void,
): Promise<{ packets: RawPacket[]; missed: number }> {
  const captures = getOrMake(
    capturesOf,
    rig,
    () => new Captures([rig.observation.capture], new Onlookers()),
  );
  const whole = { packetsMax: Number.POSITIVE_INFINITY, durationMs: 60_000 };
  const all: CaptureWish = { side: 'inner', ...whole, snapBytes: SNAP_BYTES_MAX, ...wish };
  const stream = captures.start(all, new AbortController().signal);
  assert.throws(() => captures.start(all, new AbortController().signal), /another capture/);
  traffic();
  captures.close();
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  const packets = readRawPackets(Buffer.concat(chunks));
  const { running, captured, missed } = captures.summary;
  assert.deepEqual([running, captured], [false, packets.length]);
  return { packets, missed };
}

const bytesOf = (packets: readonly RawPacket[]): Uint8Array[] =>
  packets.map(({ bytes }) => new Uint8Array(bytes));

for (const family of [4, 6] as const) {
  const out = family === 4 ? OUT : { source: 'fd00:244:0:1::2', destination: 'fd00:244:0:2::2' };
  const back = { source: out.destination, destination: out.source };

  test(`capture, IPv${family}: inner packets as they come and go, outer ones with headers in front`, async () => {
    const rig = new Rig({ family });
    const sent = udpPacket({ ...out, payload: pattern(50) });
    const received = udpPacket({ ...back, payload: pattern(33) });
    const traffic = (): void => {
      rig.outbound(sent);
      rig.inbound(vxlanPayload(received));
    };
    const inner = await capture(rig, {}, traffic);
    assert.deepEqual(bytesOf(inner.packets), [sent, received]);
    rig.takeTun();
    rig.takeUdp();
    const outer = await capture(rig, { side: 'outer' }, traffic);
    const local = family === 4 ? '127.0.0.1' : '::1';
    const remote = family === 4 ? '127.0.0.2' : '::1';
    const [toPeer, fromPeer] = outer.packets as [RawPacket, RawPacket];
    const ip = family === 4 ? 20 : 40;
    const at = family === 4 ? 12 : 8;
    const ends = (packet: RawPacket): Uint8Array => new Uint8Array(packet.bytes.subarray(at, ip));
    const joined = (...texts: string[]): Uint8Array =>
      Uint8Array.from(texts.flatMap((text) => [...addressBytes(words(text))]));
    assert.deepEqual(ends(toPeer), joined(local, remote));
    assert.deepEqual(ends(fromPeer), joined(remote, local));
    assert.equal(toPeer.bytes[family === 4 ? 9 : 6], 17);
    const length = toPeer.bytes.readUInt16BE(family === 4 ? 2 : 4);
    assert.equal(length, toPeer.bytes.length - (family === 4 ? 0 : 40));
    assert.equal(toPeer.bytes.readUInt16BE(ip), rig.port);
    assert.equal(toPeer.bytes.readUInt16BE(ip + 4), toPeer.bytes.length - ip);
    assert.deepEqual(new Uint8Array(toPeer.bytes.subarray(ip + 30)), sent);
    assert.equal(fromPeer.bytes.readUInt16BE(ip + 2), rig.port);
    assert.deepEqual(new Uint8Array(fromPeer.bytes.subarray(ip + 8)), vxlanPayload(received));
    rig.close();
  });
}

test('capture: filters by peer and address, snap length, and only while it runs', async () => {
  const rig = new Rig();
  const wanted = udpPacket({ ...OUT, payload: pattern(500) });
  const foreign = udpPacket({ ...OUT, destination: '10.244.9.9' });
  const traffic = (): void => {
    rig.outbound(wanted);
    rig.outbound(foreign);
    rig.outbound(ipPacket({ ...OUT, protocol: 89, transport: pattern(8), checksumAt: -1 }));
    rig.outbound(new Uint8Array(40));
    rig.inbound(vxlanPayload(udpPacket(IN)));
    rig.inbound(pattern(10));
    rig.takeUdp();
    rig.takeTun();
  };
  traffic();
  assert.equal(
    (await capture(rig, {}, traffic)).packets.length,
    5,
    'what is no frame has no inside',
  );
  assert.equal((await capture(rig, { slots: [0] }, traffic)).packets.length, 3);
  assert.equal((await capture(rig, { slots: [3, 4] }, traffic)).packets.length, 0);
  assert.equal((await capture(rig, { side: 'outer' }, traffic)).packets.length, 4);
  assert.equal((await capture(rig, { side: 'outer', slots: [0] }, traffic)).packets.length, 4);
  const lost = await capture(rig, { address: words('10.244.9.9') }, traffic);
  assert.deepEqual(bytesOf(lost.packets), [foreign]);
  const cut = await capture(rig, { snapBytes: 64, packetsMax: 1 }, traffic);
  assert.deepEqual(bytesOf(cut.packets), [wanted.subarray(0, 64)]);
  assert.equal(cut.packets[0]?.packetBytes, wanted.length);
  rig.close();
});

test('capture: the ring wraps, is full at its end, and what did not fit is counted', async () => {
  const rig = new Rig();
  const large = udpPacket({ ...OUT, payload: pattern(1399) });
  const send = (count: number): void => {
    for (let i = 0; i < count; i++) {
      rig.outbound(large);
      rig.takeUdp();
    }
  };
  // Drained in between, the ring is gone through more than once.
  for (let round = 0; round < 4; round++) {
    const { packets, missed } = await capture(rig, {}, () => send(400));
    assert.deepEqual([packets.length, missed], [400, 0]);
    assert.ok(packets.every(({ bytes }) => bytes.equals(large)));
  }
  const { packets, missed } = await capture(rig, {}, () => send(1000));
  assert.equal(packets.length + missed, 1000);
  assert.ok(missed > 0 && packets.length * (large.length + 24) <= CAPTURE_RING_BYTES);
  assert.ok(packets.every(({ bytes }) => bytes.equals(large)));
  const ping = udpPacket(OUT);
  const flood = await capture(rig, { snapBytes: 64 }, () => {
    for (let i = 0; i < 10_000; i++) {
      rig.outbound(ping);
      rig.takeUdp();
    }
  });
  assert.equal(flood.packets.length + flood.missed, 10_000);
  assert.ok(flood.packets.length >= CAPTURE_BURST);
  rig.close();
});
