/** Our frames against captures of real peers, through a whole worker (TUN: socketpair, underlay: loopback UDP). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GSO, GSO_FLAG } from '../../../src/memory/layout.ts';
import { type Datagram, readDatagrams } from '../../support/pcap.ts';
import { Rig } from '../../support/rig.ts';

const NODE = 1;
const isFromNode = (datagram: Datagram): boolean => datagram.source.at(-1) === NODE;
const MACS6 = { ownMac: '02:00:00:00:06:01', peerMac: '02:00:00:00:06:02' };

for (const family of [4, 6] as const) {
  const datagrams = readDatagrams('kernel-vxlan.pcap').filter((d) => d.version === family);

  test(`VX-2 IPv${family}: what the kernel put on the wire is what we put there`, () => {
    const rig = new Rig({ family, ...(family === 6 ? MACS6 : {}) });
    const sent = datagrams.filter(isFromNode);
    assert.ok(sent.length > 0);
    for (const datagram of sent) {
      rig.outbound(datagram.payload.subarray(22));
      const frames = rig.takeUdp();
      assert.equal(frames.length, 1);
      assert.deepEqual(frames[0]?.payload, new Uint8Array(datagram.payload));
    }
    assert.ok(rig.isBalanced());
    rig.close();
  });

  test(`VX-1 IPv${family}: what the kernel sent reaches the TUN unchanged`, () => {
    const rig = new Rig({ family, ...(family === 6 ? MACS6 : {}) });
    const received = datagrams.filter((d) => !isFromNode(d));
    assert.ok(received.length > 0);
    for (const datagram of received) {
      rig.inbound(datagram.payload);
      const packets = rig.takeTun();
      assert.equal(packets.length, 1);
      assert.deepEqual(packets[0]?.packet, new Uint8Array(datagram.payload.subarray(22)));
      assert.equal(packets[0]?.gso, 0);
    }
    assert.ok(rig.isBalanced());
    rig.close();
  });
}

test('virtual link: partial checksums and super-packets of a kernel peer are described to the TUN', () => {
  const rig = new Rig();
  let superPackets = 0;
  let partial = 0;
  for (const datagram of readDatagrams('kernel-vxlan-virtual-link.pcap')) {
    if (datagram.version !== 4 || isFromNode(datagram)) continue;
    const whole = new Uint8Array(datagram.payloadBytes);
    whole.set(datagram.payload);
    rig.inbound(whole);
    const packet = rig.takeTun()[0];
    assert.ok(packet);
    assert.deepEqual(packet.packet, whole.subarray(22));
    const protocol = packet.packet[9];
    if (protocol !== 6 && protocol !== 17) continue;
    if ((packet.gso & GSO_FLAG.needsCsum) !== 0) partial++;
    if ((packet.gso & 0x7f) === GSO.tcp4) {
      superPackets++;
      const tcpBytes = ((packet.packet[32] as number) >> 4) * 4;
      assert.equal(packet.gsoSize, 1450 - 20 - tcpBytes);
    }
  }
  assert.ok(partial > 0, 'the capture has partial checksums');
  assert.ok(superPackets > 0 || partial > 2, 'the capture has super-packets');
  assert.ok(rig.isBalanced());
  rig.close();
});

test('UDP-1, UDP-2: flannel-UDP sends the raw packet with its TTL lowered, and lowers it again on receipt', () => {
  const rig = new Rig({ kind: 'udp', mtu: 1472 });
  for (const datagram of readDatagrams('flannel-udp.pcap')) {
    if (!isFromNode(datagram) || datagram.payload[19] === undefined) continue;
    const wire = new Uint8Array(datagram.payload);
    if (wire[18] !== 2) continue; // the packet to an unknown subnet never left
    const before = raiseTtl(wire);
    rig.outbound(before);
    assert.deepEqual(rig.takeUdp()[0]?.payload, wire);
  }
  for (const datagram of readDatagrams('flannel-udp.pcap').filter((d) => !isFromNode(d))) {
    rig.inbound(datagram.payload);
    const packet = rig.takeTun()[0]?.packet as Uint8Array;
    assert.deepEqual(raiseTtl(packet), new Uint8Array(datagram.payload));
  }
  assert.ok(rig.isBalanced());
  rig.close();
});

/** The packet as it was one hop before. */
function raiseTtl(packet: Uint8Array): Uint8Array {
  const earlier = packet.slice();
  const view = new DataView(earlier.buffer);
  earlier[8] = (earlier[8] as number) + 1;
  const sum = view.getUint16(10) - 0x0100;
  view.setUint16(10, sum < 0 ? sum + 0xffff : sum);
  return earlier;
}
