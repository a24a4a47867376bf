/** Which packets pass and why the others do not, through a whole worker (TUN: socketpair, underlay: loopback UDP). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DropName } from '../../../src/memory/drops.ts';
import { ODD_SOURCES, withSource } from '../../support/inner-source.ts';
import {
  hasGoodChecksum,
  ipPacket,
  pattern,
  slowChecksum,
  tcpPacket,
  udpPacket,
} from '../../support/packets.ts';
import { LOCAL_ADDRESSES, Rig, type RigOptions } from '../../support/rig.ts';

const OURS = [2, 0, 0, 0, 0, 1];
const THEIRS = [2, 0, 0, 0, 0, 2];
const inner = udpPacket({ source: '10.244.2.2', destination: '10.244.1.2', payload: pattern(20) });

interface FrameFields {
  flags?: number;
  vni?: number;
  to?: number[];
  from?: number[];
  type?: number;
  packet?: Uint8Array;
}

function frame(fields: FrameFields = {}): Uint8Array {
  const packet = fields.packet ?? inner;
  const bytes = new Uint8Array(22 + packet.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, fields.flags ?? 0x08000000);
  view.setUint32(4, fields.vni ?? 0x100);
  bytes.set(fields.to ?? OURS, 8);
  bytes.set(fields.from ?? THEIRS, 14);
  view.setUint16(20, fields.type ?? 0x0800);
  bytes.set(packet, 22);
  return bytes;
}

function verdict(
  payload: Uint8Array,
  expected: DropName | 'accepted',
  options: RigOptions = {},
  tos = 0,
): void {
  const rig = new Rig(options);
  rig.inbound(payload, tos);
  const got = rig.takeTun().length;
  assert.equal(got, expected === 'accepted' ? 1 : 0);
  if (expected !== 'accepted') assert.equal(rig.drops(expected), 1);
  assert.ok(rig.isBalanced());
  rig.close();
}

const foreign = udpPacket({ source: '10.244.3.2', destination: '10.244.1.2' });
const outside = udpPacket({ source: '192.0.2.9', destination: '10.244.1.2' });

const table: [string, Uint8Array, DropName | 'accepted', RigOptions?][] = [
  ['well-formed', frame(), 'accepted'],
  ['destination MAC broadcast', frame({ to: [255, 255, 255, 255, 255, 255] }), 'accepted'],
  ['unknown inner source MAC', frame({ from: [2, 9, 9, 9, 9, 9] }), 'accepted'],
  [
    'inner source outside any lease and outside the overlay',
    frame({ packet: outside }),
    'accepted',
  ],
  ['I flag missing', frame({ flags: 0 }), 'inBadHeader'],
  ['I flag plus a reserved flag bit', frame({ flags: 0x08000001 }), 'inBadHeader'],
  ['I flag plus GBP bit', frame({ flags: 0x88000000 }), 'inBadHeader'],
  [
    'GBP bit and policy id where Backend.GBP is set',
    frame({ flags: 0x88000007 | 0 }),
    'accepted',
    { gbp: true },
  ],
  [
    'a reserved bit where Backend.GBP is set',
    frame({ flags: 0x88010000 | 0 }),
    'inBadHeader',
    { gbp: true },
  ],
  ['reserved low byte 1', frame({ vni: 0x101 }), 'inBadHeader'],
  ['wrong VNI', frame({ vni: 0x200 }), 'inWrongVni'],
  ['unknown destination MAC', frame({ to: [2, 9, 9, 9, 9, 9] }), 'inWrongMac'],
  ["inner source MAC = receiver's own", frame({ from: OURS }), 'inOwnMac'],
  ['truncated (20 bytes of payload)', frame().subarray(0, 20), 'inTruncated'],
  ['ARP', frame({ type: 0x0806 }), 'inNotIp'],
  ['EtherType and version disagree', frame({ type: 0x86dd }), 'inNotIp'],
  ['cut inner packet', frame().subarray(0, 60), 'inMalformed'],
  ['inner source in a subnet that nobody leases', frame({ packet: foreign }), 'inForeignSource'],
  [
    'the same with --source-check=vtep',
    frame({ packet: foreign }),
    'accepted',
    { sourceCheck: 'vtep' },
  ],
  ['unknown sender', frame(), 'inUnknownPeer', { peerAddress: '192.0.2.1' }],
  [
    'unknown sender with --source-check=off',
    frame(),
    'accepted',
    { peerAddress: '192.0.2.1', sourceCheck: 'off' },
  ],
  [
    "destination not in this node's subnet",
    frame({ packet: udpPacket({ source: '10.244.2.2', destination: '10.244.3.1' }) }),
    'inNotOurs',
  ],
  [
    'multicast source',
    frame({ packet: udpPacket({ source: '224.0.0.1', destination: '10.244.1.2' }) }),
    'inForeignSource',
  ],
  [
    'larger than the tunnel MTU with a complete checksum',
    frame({
      packet: udpPacket({
        source: '10.244.2.2',
        destination: '10.244.1.2',
        payload: pattern(1500),
      }),
    }),
    'inOversized',
  ],
];
for (const [name, payload, expected, options] of table) {
  test(`VX-3 ${name}: ${expected}`, () => verdict(payload, expected, options));
}

/** What a peer's pod sends in the name of `source`. */
function claim(source: string): Uint8Array {
  const [pod, destination, type] = source.includes(':')
    ? (['fd00:244:0:2::2', 'fd00:244:0:1::2', 0x86dd] as const)
    : (['10.244.2.2', '10.244.1.2', 0x0800] as const);
  return frame({ packet: withSource(udpPacket({ source: pod, destination }), source), type });
}

for (const family of [4, 6] as const) {
  const is4 = family === 4;
  const own = [LOCAL_ADDRESSES[is4 ? 0 : 1], is4 ? '10.244.1.0' : 'fd00:244:0:1::'];
  for (const sourceCheck of ['lease', 'vtep', 'off'] as const) {
    test(`--source-check=${sourceCheck}, IPv${family}: nobody sends in the name of this host or of nobody`, () => {
      for (const source of [...own, ...ODD_SOURCES[family]])
        verdict(claim(source), 'inForeignSource', { family, sourceCheck });
    });
  }

  test(`IPv${family}: the addresses of a peer's host are its own to use`, () => {
    for (const source of is4
      ? ['10.244.2.0', '10.244.2.2', '198.51.100.7', '192.0.2.78']
      : ['fd00:244:0:2::', 'fd00:244:0:2::2', '2001:db8::7', 'fec0::1'])
      verdict(claim(source), 'accepted', { family });
  });

  test(`IPv${family}: an address that this host gets later is its own from then on, and free when it is gone`, () => {
    const rig = new Rig({ family });
    const late = is4 ? '198.51.100.7' : '2001:db8::7';
    const arrives = (): number => {
      rig.inbound(claim(late));
      return rig.takeTun().length;
    };
    assert.equal(arrives(), 1);
    rig.setLocalAddresses([late]);
    assert.equal(arrives(), 0);
    assert.equal(rig.drops('inForeignSource'), 1);
    rig.setLocalAddresses([]);
    assert.equal(arrives(), 1);
    rig.close();
  });
}

test('ECN (RFC 6040): a congestion mark is carried over, or the packet dropped if it does not know ECN', () => {
  verdict(frame(), 'inEcn', {}, 3);
  const rig = new Rig();
  const aware = udpPacket({ source: '10.244.2.2', destination: '10.244.1.2', tos: 2 });
  rig.inbound(frame({ packet: aware }), 3);
  const packet = rig.takeTun()[0]?.packet as Uint8Array;
  assert.equal(packet[1], 3);
  assert.equal(slowChecksum(packet.subarray(0, 20)), 0);
  rig.close();
});

test('VX-6 outer TOS: ECN is copied (CE as ECT(0)), DSCP is not', () => {
  const rig = new Rig();
  for (const [tos, outer] of [
    [0xb8, 0],
    [0xba, 2],
    [0x01, 1],
    [0x03, 2],
  ] as const) {
    rig.outbound(udpPacket({ source: '10.244.1.2', destination: '10.244.2.2', tos }));
    assert.equal(rig.takeUdp()[0]?.tos, outer);
  }
  rig.close();
});

const outbound: [string, Uint8Array, DropName][] = [
  ['multicast', udpPacket({ source: '10.244.1.2', destination: '224.0.0.5' }), 'outMulticast'],
  ['own subnet', udpPacket({ source: '10.244.1.2', destination: '10.244.1.9' }), 'outOwnSubnet'],
  ['no lease', udpPacket({ source: '10.244.1.2', destination: '10.244.9.9' }), 'outNoRoute'],
  [
    'IPv6 on the IPv4 device',
    udpPacket({ source: 'fd00::1', destination: 'fd00::2' }),
    'outFamily',
  ],
  ['no IP packet', new Uint8Array(40), 'outMalformed'],
];
for (const [name, packet, reason] of outbound) {
  test(`outbound ${name}: ${reason}`, () => {
    const rig = new Rig();
    rig.outbound(packet);
    assert.equal(rig.takeUdp().length, 0);
    assert.equal(rig.drops(reason), 1);
    assert.ok(rig.isBalanced());
    rig.close();
  });
}

test('our own encapsulated packet that comes back into the overlay is refused', () => {
  const rig = new Rig();
  rig.outbound(
    udpPacket({ source: '127.0.0.1', destination: '10.244.2.2', destinationPort: rig.port }),
  );
  assert.equal(rig.drops('outOverlayLoop'), 1);
  rig.close();
});

test('UDP-5 no route: the sender gets ICMP unreachable with right checksums', () => {
  const rig = new Rig();
  const offender = udpPacket({
    source: '10.244.1.2',
    destination: '10.244.9.9',
    payload: pattern(30),
  });
  rig.outbound(offender);
  const answer = rig.takeIcmp()[0] as Uint8Array;
  assert.deepEqual([answer[9], answer[20], answer[21]], [1, 3, 0]);
  assert.deepEqual([...answer.subarray(12, 20)], [10, 244, 1, 0, 10, 244, 1, 2]);
  assert.equal(slowChecksum(answer.subarray(0, 20)), 0);
  assert.equal(slowChecksum(answer.subarray(20)), 0);
  assert.deepEqual(answer.subarray(28), offender);
  rig.close();
});

test('ICMPv6 unreachable has a right checksum', () => {
  const rig = new Rig({ family: 6 });
  rig.outbound(udpPacket({ source: 'fd00:244:0:1::2', destination: 'fd00:244:0:9::2' }));
  const answer = rig.takeIcmp()[0] as Uint8Array;
  assert.deepEqual([answer[6], answer[40], answer[41]], [58, 1, 0]);
  assert.ok(hasGoodChecksum(answer));
  rig.close();
});

test('ICMP errors are never answered, and answers are rate-limited', () => {
  const rig = new Rig();
  const error = new Uint8Array(8);
  error[0] = 3;
  rig.outbound(
    ipPacket({
      source: '10.244.1.2',
      destination: '10.244.9.9',
      protocol: 1,
      transport: error,
      checksumAt: -1,
    }),
  );
  assert.equal(rig.takeIcmp().length, 0);
  for (let i = 0; i < 2000; i++) {
    rig.outbound(udpPacket({ source: '10.244.1.2', destination: '10.244.9.9' }));
    rig.takeIcmp();
  }
  assert.ok(rig.count('icmpLimited') > 0);
  assert.equal(rig.count('icmpLimited') + rig.count('icmpSent'), 2000);
  rig.close();
});

test('UDP-2 flannel-UDP: TTL 1 ends here and the sender is told', () => {
  const rig = new Rig({ kind: 'udp' });
  rig.outbound(udpPacket({ source: '10.244.1.2', destination: '10.244.2.2', ttl: 1 }));
  assert.equal(rig.drops('outTtl'), 1);
  const answer = rig.takeIcmp()[0] as Uint8Array;
  assert.equal(answer[20], 11);
  rig.inbound(udpPacket({ source: '10.244.2.2', destination: '10.244.1.2', ttl: 1 }));
  rig.inbound(udpPacket({ source: '10.244.2.2', destination: '10.244.1.2', ttl: 0 }));
  assert.equal(rig.drops('inTtl'), 2);
  assert.equal(rig.takeIcmp().length, 2);
  assert.equal(rig.takeTun().length, 0, 'errors do not come out of the TUN');
  assert.equal(rig.count('deliveredPackets'), 0);
  rig.close();
});

test('UDP-3, UDP-4 flannel-UDP: short, oversize, IPv6, TTL 0 and unknown senders are dropped and counted', () => {
  const far = { source: '10.244.2.2', destination: '10.244.1.2' };
  verdict(new Uint8Array(12), 'inTruncated', { kind: 'udp' });
  verdict(udpPacket({ ...far, payload: pattern(1600) }), 'inOversized', { kind: 'udp', mtu: 1472 });
  verdict(udpPacket({ source: 'fd00::1', destination: 'fd00::2' }), 'inNotIp', { kind: 'udp' });
  verdict(udpPacket(far), 'inUnknownPeer', { kind: 'udp', peerAddress: '192.0.2.1' });
});

for (const family of [4, 6] as const) {
  test(`a TCP super-packet is cut into correct segments and comes together again, IPv${family}`, () => {
    const sender = new Rig({ family });
    const [source, destination] =
      family === 4 ? ['10.244.1.2', '10.244.2.2'] : ['fd00:244:0:1::2', 'fd00:244:0:2::2'];
    const payload = pattern(30_000);
    const headers = family === 4 ? 40 : 60;
    const whole = tcpPacket({ source, destination, payload, seq: 1000, flags: 0x18 });
    // The kernel leaves the pseudo-header sum in the field of a super-packet.
    const size = 1450 - headers;
    sender.outbound(whole, (family === 4 ? 1 : 4) | (1 << 8), size, headers - 20, 16);
    const frames = sender.takeUdp().map((datagram) => datagram.payload.subarray(22));
    assert.equal(frames.length, Math.ceil(payload.length / size));
    assert.ok(frames.every(hasGoodChecksum));
    const joined = Buffer.concat(frames.map((packet) => packet.subarray(headers)));
    assert.deepEqual(new Uint8Array(joined), payload);
    assert.deepEqual(
      frames.map((packet) => ((packet[headers - 7] as number) & 8) !== 0),
      frames.map((_, i) => i === frames.length - 1),
      'PSH only on the last',
    );
    sender.close();
  });
}
