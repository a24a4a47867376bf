/** When bulk TCP is told to slow down, and how, through a whole worker (TUN: socketpair, underlay: loopback UDP). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { StandingQueue } from '../../../src/dataplane/standing-queue.ts';
import { FEATURE, FEATURES_ALL, GSO, GSO_FLAG, LAYOUT } from '../../../src/memory/layout.ts';
import { CONTROL_WORDS, WORD } from '../../../src/memory/worker-task.ts';
import { IpHeader, parseIp } from '../../../src/wire/ip.ts';
import { cutLastSegment, isOneSegment } from '../../../src/wire/transport.ts';
import {
  hasGoodChecksum,
  ipPacket,
  pattern,
  slowChecksum,
  tcpPacket,
  udpPacket,
} from '../../support/packets.ts';
import { Rig, words } from '../../support/rig.ts';
import { withPartialChecksum } from '../../support/segmenter.ts';

const FLAGS = { fin: 0x11, ack: 0x10, push: 0x18 };
const INTERVAL_MS = 20;

/** A queue, a clock that the test moves, and packets that it meets. */
class Scene {
  readonly control = new Int32Array(CONTROL_WORDS);
  readonly queue = new StandingQueue(this.control, words('10.244.1.0'));
  private readonly header = new IpHeader();

  at(ms: number): void {
    this.control[WORD.clockMs] = ms | 0;
  }

  meet(packet: Uint8Array): void {
    this.queue.meet(this.parse(packet), 0, this.header);
  }

  wants(packet: Uint8Array): boolean {
    return this.queue.wants(this.parse(packet), 0, this.header);
  }

  private parse(packet: Uint8Array): DataView {
    const view = new DataView(packet.buffer);
    assert.ok(parseIp(view, 0, packet.length, this.header));
    return view;
  }

  /** A batch with this much of the bulk flow that was not all there was, each ms. */
  batch(fill = bulk): boolean {
    const isSign = this.wants(bulk);
    if (isSign) this.queue.signed();
    this.meet(bulk);
    this.meet(fill);
    this.queue.read(false, bulk.length + fill.length);
    return isSign;
  }

  /** Times of signs while the queue stands from `fromMs` to `toMs`, with somebody else's packets every 10 ms. */
  signs(fromMs: number, toMs: number, other: Uint8Array | null = small): number[] {
    const times: number[] = [];
    for (let ms = fromMs; ms < toMs; ms++) {
      this.at(ms);
      if (other && ms % 10 === 0) this.meet(other);
      if (this.batch()) times.push(ms - fromMs);
    }
    return times;
  }
}

const flow = { source: '10.244.1.2', destination: '10.244.2.2' };
const small = udpPacket({ ...flow, payload: pattern(60) });
const bulk = tcpPacket({ ...flow, payload: pattern(1400) });
const ack = tcpPacket(flow);
const gapsOf = (times: readonly number[]): number[] =>
  times.slice(1).map((ms, i) => ms - (times[i] as number));

test('a queue that is read empty now and then owes nothing; one that stands does, sooner and sooner', () => {
  const scene = new Scene();
  for (let ms = 5_000; ms < 6_000; ms++) {
    if (ms % (INTERVAL_MS - 1) === 0) scene.queue.read(true, 0);
    assert.deepEqual(scene.signs(ms, ms + 1), []);
  }
  scene.queue.read(true, 0);
  const times = scene.signs(6_000, 6_500);
  assert.ok((times[0] as number) >= INTERVAL_MS, `${times}`);
  const gaps = gapsOf(times);
  assert.ok(gaps.length > 20);
  assert.ok((gaps[0] as number) > (gaps.at(-1) as number), `${gaps}`);
  scene.queue.read(true, 0);
  assert.ok(!scene.wants(bulk), 'empty once: nothing is owed');
});

test('what a stand had to add is where the next one begins, if it follows soon', () => {
  const scene = new Scene();
  const first = scene.signs(1_000, 1_500);
  scene.queue.empty();
  const second = scene.signs(1_550, 1_700);
  assert.ok((gapsOf(second)[0] as number) < (gapsOf(first)[1] as number));
  // As long stands, again and again: the pace settles instead of rising for ever.
  const counts: number[] = [];
  for (let at = 2_000; at < 6_000; at += 200) {
    scene.queue.empty();
    counts.push(scene.signs(at, at + 100).length);
  }
  assert.ok(Math.max(...counts.slice(-4)) <= Math.max(...counts.slice(0, 4)) + 1, `${counts}`);
  scene.queue.empty();
  const late = scene.signs(9_000, 9_500);
  assert.ok(
    (gapsOf(late)[0] as number) >= (gapsOf(first)[0] as number) - 1,
    'long ago: from the start',
  );
});

test('after silence nothing is owed, however the last batch ended', () => {
  const scene = new Scene();
  scene.signs(1_000, 1_400);
  scene.queue.empty();
  scene.at(3_000);
  assert.ok(!scene.wants(bulk));
  scene.batch();
  scene.at(3_001);
  assert.ok(!scene.wants(bulk));
});

test('bulk flows among themselves, their ends and acknowledgements do not make a queue short', () => {
  const end = tcpPacket({ ...flow, payload: pattern(200), flags: FLAGS.push });
  for (const other of [null, ack, bulk, end]) {
    const scene = new Scene();
    scene.batch();
    assert.deepEqual(scene.signs(1, 900, other), []);
  }
  const scene = new Scene();
  const request = tcpPacket({ ...flow, sourcePort: 1, payload: pattern(20) });
  assert.ok(scene.signs(1_000, 3_000, request).length > 0);
  assert.deepEqual(scene.signs(5_000, 6_000, null), [], 'they left two seconds ago');
});

test("nodes' echoes are nobody's, pods' are", () => {
  const echo = (source: string, destination: string): Uint8Array =>
    ipPacket({ source, destination, protocol: 1, transport: pattern(64), checksumAt: -1 });
  const own = [echo('10.244.1.0', '10.244.2.0'), echo('10.244.2.0', '10.244.1.0')];
  for (const each of own) assert.deepEqual(new Scene().signs(1_000, 2_000, each), []);
  assert.ok(new Scene().signs(1_000, 2_000, echo('10.244.1.2', '10.244.2.2')).length > 0);
});

test('only long packets of bulk flows are told, and none where datagrams fill the queue', () => {
  const scene = new Scene();
  scene.signs(1_000, 1_900);
  scene.at(2_000);
  scene.batch();
  assert.ok(scene.wants(bulk));
  const once = tcpPacket({ ...flow, sourcePort: 2, payload: pattern(1400) });
  for (const packet of [small, ack, once, udpPacket({ ...flow, payload: pattern(1400) })])
    assert.ok(!scene.wants(packet));
  const beside = new Scene();
  const flood = udpPacket({ ...flow, payload: pattern(1440) });
  for (let ms = 1_000; ms < 3_000; ms++) {
    beside.at(ms);
    if (ms % 10 === 0) beside.meet(small);
    assert.ok(!beside.batch(flood));
  }
});

test('the clock may wrap', () => {
  const scene = new Scene();
  const times = scene.signs(2 ** 31 - 300, 2 ** 31 + 300);
  assert.ok(times.length > 10);
  assert.ok(times.some((ms) => ms > 350) && times.every((ms) => ms >= INTERVAL_MS));
});

const addresses = {
  4: { source: '10.244.1.2', destination: '10.244.2.2', headers: 40 },
  6: { source: 'fd00:244:0:1::2', destination: 'fd00:244:0:2::2', headers: 60 },
} as const;

/** Single packets of the bulk flow in a batch: more than half of its bytes. */
const SINGLES = 8;

/** Small packets of others and some of the bulk flow, as many as a batch holds, so that it says nothing of what is behind it. */
function fullBatch(rig: Rig, family: 4 | 6, packet: Uint8Array, isSuper: boolean): void {
  const { headers, ...way } = addresses[family];
  const others = LAYOUT.tunInRows - (isSuper ? 1 : SINGLES);
  for (let i = 0; i < others; i++)
    rig.stageTun(i, udpPacket({ ...way, sourcePort: 6000 + i, payload: pattern(8) }));
  const type = family === 4 ? GSO.tcp4 : GSO.tcp6;
  for (let i = others; i < LAYOUT.tunInRows; i++)
    if (isSuper)
      rig.stageTun(i, packet, type | GSO_FLAG.needsCsum, 1450 - headers, headers - 20, 16);
    else rig.stageTun(i, packet);
  rig.addon.tunSend(rig.farEngine, 0, LAYOUT.tunInRows);
  rig.forwarder.breath.take();
}

/** The bulk flow's packets of the batch in which the first sign is owed. */
async function told(
  family: 4 | 6,
  packet: Uint8Array,
  isSuper: boolean,
  features = FEATURES_ALL,
): Promise<{ rig: Rig; segments: Uint8Array[] }> {
  const rig = new Rig({ family, features });
  let segments: Uint8Array[] = [];
  for (let batch = 0; batch < 3; batch++) {
    fullBatch(rig, family, packet, isSuper);
    const protocolAt = family === 4 ? 9 : 6;
    segments = [];
    for (let some = rig.takeUdp(); some.length > 0; some = rig.takeUdp())
      segments.push(...some.map(({ payload }) => payload.subarray(22)));
    segments = segments.filter((each) => each[protocolAt] === 6);
    await sleep(INTERVAL_MS + 5);
  }
  assert.ok(rig.isBalanced());
  return { rig, segments };
}

for (const family of [4, 6] as const) {
  const { headers, ...way } = addresses[family];
  const size = 1450 - headers;
  const payload = pattern(8_000);
  const joined = (segments: readonly Uint8Array[]): Uint8Array =>
    new Uint8Array(Buffer.concat(segments.map((each) => each.subarray(headers))));

  test(`of a super-packet the last segment is lost, and nothing else, IPv${family}`, async () => {
    const whole = tcpPacket({ ...way, payload, flags: FLAGS.push });
    const { rig, segments } = await told(family, whole, true);
    const left = payload.length - (payload.length % size);
    assert.deepEqual(joined(segments), payload.subarray(0, left));
    assert.ok(segments.every(hasGoodChecksum));
    if (family === 4) assert.ok(segments.every((each) => slowChecksum(each.subarray(0, 20)) === 0));
    assert.equal(rig.drops('outStandingQueue'), 1);
    assert.equal(rig.count('outPackets'), 3 * LAYOUT.tunInRows + 1, 'the lost segment is a packet');
    rig.close();
  });

  test(`a sender that knows ECN gets a mark instead, IPv${family}`, async () => {
    const whole = tcpPacket({ ...way, payload, flags: FLAGS.push, tos: 2 });
    const { rig, segments } = await told(family, whole, true);
    assert.deepEqual(joined(segments), payload);
    const tosOf = (each: Uint8Array): number =>
      family === 4 ? (each[1] as number) : ((each[1] as number) >> 4) & 0xf;
    assert.ok(segments.every((each) => (tosOf(each) & 3) === 3 && hasGoodChecksum(each)));
    assert.equal(rig.count('congestionMarks'), 1);
    assert.equal(rig.drops('outStandingQueue'), 0);
    rig.close();
  });
}

test('of two segments one is left, which is no super-packet any more', async () => {
  const { headers, ...way } = addresses[4];
  const size = 1450 - headers;
  const payload = pattern(size + 700);
  const { rig, segments } = await told(4, tcpPacket({ ...way, payload }), true);
  // 63 small packets are more than half of what two segments are: here nothing is owed.
  assert.equal(rig.drops('outStandingQueue'), 0);
  assert.equal(segments.length, 2);
  rig.close();
  const view = new DataView(tcpPacket({ ...way, payload }).buffer);
  const header = new IpHeader();
  assert.ok(parseIp(view, 0, view.byteLength, header));
  assert.ok(!isOneSegment(view, 0, header, size));
  assert.equal(cutLastSegment(view, 0, header, size), 700);
  assert.ok(isOneSegment(view, 0, header, size));
  assert.equal(cutLastSegment(view, 0, header, size), 0);
});

test('a segment that ends the connection is never taken off, a single packet is lost as a whole', async () => {
  const { headers, ...way } = addresses[4];
  const last = tcpPacket({ ...way, payload: pattern(8_000), flags: FLAGS.fin });
  const kept = await told(4, last, true);
  assert.equal(kept.rig.drops('outStandingQueue'), 0);
  kept.rig.close();
  const single = tcpPacket({ ...way, payload: pattern(1450 - headers) });
  const lost = await told(4, single, false);
  assert.equal(lost.segments.length, SINGLES - 1);
  assert.equal(lost.rig.drops('outStandingQueue'), 1);
  lost.rig.close();
});

test('--offload=auto,-aqm: queues may stand', async () => {
  const whole = tcpPacket({ ...addresses[4], payload: pattern(8_000), flags: FLAGS.ack });
  const { rig, segments } = await told(4, whole, true, FEATURES_ALL & ~FEATURE.aqm);
  assert.equal(segments.length, Math.ceil(8_000 / 1410));
  assert.equal(rig.drops('outStandingQueue'), 0);
  rig.close();
});

const inboundWay = { source: '10.244.2.2', destination: '10.244.1.2' };

/** Three times more bytes than one receive takes, with small packets of somebody else in front; and what the TUN got of the bulk flow. */
async function inboundTold(packet: Uint8Array): Promise<{ rig: Rig; delivered: Uint8Array[] }> {
  const rig = new Rig();
  const delivered: Uint8Array[] = [];
  const frame = (inner: Uint8Array): Uint8Array => {
    const bytes = new Uint8Array(22 + inner.length);
    bytes.set([8, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    bytes.set(inner, 22);
    return bytes;
  };
  const one = frame(packet);
  const rows = Math.min(LAYOUT.tunInRows, Math.ceil(LAYOUT.batchBytes / one.length));
  for (let batch = 0; batch < 3; batch++) {
    for (let i = 0; i < 10; i++)
      rig.stageUdp(i, frame(udpPacket({ ...inboundWay, payload: pattern(10 + i) })));
    assert.equal(rig.addon.udpSend(rig.farEngine, 0, 10), 0);
    for (let i = 0; i < rows; i++) rig.stageUdp(i, one, (packet[1] as number) & 3);
    for (let sent = 0; sent < LAYOUT.batchBytes; sent += rows * one.length)
      assert.equal(rig.addon.udpSend(rig.farEngine, 0, rows), 0);
    rig.forwarder.breath.take();
    for (let some = rig.takeTun(); some.length > 0; some = rig.takeTun())
      delivered.push(...some.map((each) => each.packet).filter((each) => each[9] === 6));
    await sleep(INTERVAL_MS + 5);
  }
  assert.ok(rig.isBalanced());
  return { rig, delivered };
}

test('what stands in the socket is told of by a loss or a mark, too', async () => {
  const { rig: lost } = await inboundTold(tcpPacket({ ...inboundWay, payload: pattern(1410) }));
  assert.equal(lost.drops('inStandingQueue'), 1);
  lost.close();
  const knows = tcpPacket({ ...inboundWay, payload: pattern(1410), tos: 2 });
  const { rig: marked } = await inboundTold(knows);
  assert.equal(marked.count('congestionMarks'), 1);
  assert.equal(marked.drops('inStandingQueue'), 0);
  marked.close();
});

test("a kernel peer's super-packet loses its last segment, and is whole otherwise", async () => {
  const payload = pattern(8_000);
  const whole = withPartialChecksum(tcpPacket({ ...inboundWay, payload }));
  const { rig, delivered } = await inboundTold(whole);
  assert.equal(rig.drops('inStandingQueue'), 1);
  const left = payload.length - (payload.length % 1410);
  const short = delivered.filter((each) => each.length < whole.length);
  assert.deepEqual(short, [
    withPartialChecksum(tcpPacket({ ...inboundWay, payload: payload.subarray(0, left) })),
  ]);
  rig.close();
});
