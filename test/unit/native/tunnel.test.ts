/** Super-packets with outer headers: written whole to the TAP (a socket pair stands for it), or segmented when it refuses. */
import assert from 'node:assert/strict';
import { readSync } from 'node:fs';
import { test } from 'node:test';
import { OuterHeaders } from '../../../src/dataplane/encap/outer-headers.ts';
import { loadAddon } from '../../../src/memory/addon.ts';
import { FEATURE, FEATURES_ALL, GSO, GSO_FLAG, LAYOUT, ROW } from '../../../src/memory/layout.ts';
import type { LinkTask } from '../../../src/memory/worker-task.ts';
import { parseAddress, parseMac, type Words } from '../../../src/shared/address.ts';
import { makeRig, type RowInput } from '../../support/native/rig.ts';
import { hasGoodChecksum, pattern, tcpPacket } from '../../support/packets.ts';

const VNET_BYTES = 24;
const ENCAPSULATION = 22;
const SEGMENT = 1000;
const OUTER = { 4: 42, 6: 62 } as const;
const ADDRESSES = {
  4: { source: '10.244.1.2', destination: '10.244.2.2' },
  6: { source: 'fd00:244:0:1::2', destination: 'fd00:244:0:2::2' },
} as const;

function superPacket(family: 4 | 6, payloadBytes: number): Uint8Array {
  const flow = { ...ADDRESSES[family], sourcePort: 1000, destinationPort: 2000 };
  return tcpPacket({ ...flow, payload: pattern(payloadBytes), flags: 0x10 });
}

/** As outbound.ts leaves a row: outer and encapsulation header in front of the inner packet. */
function tunnelRow(family: 4 | 6, inner: Uint8Array): RowInput {
  const headerBytes = OUTER[family] + ENCAPSULATION;
  const bytes = new Uint8Array(headerBytes + inner.length);
  bytes.fill(0xee, 0, headerBytes);
  bytes.set(inner, headerBytes);
  return {
    bytes,
    headerBytes,
    gso: (family === 4 ? GSO.tcp4 : GSO.tcp6) | GSO_FLAG.needsCsum | LAYOUT.rowGsoTunnel,
    gsoSize: SEGMENT,
    csumStart: family === 4 ? 20 : 40,
    csumOffset: 16,
  };
}

for (const family of [4, 6] as const) {
  test(`IPv${family}: a tunnel row reaches the TAP whole, with a header that says where everything is`, () => {
    const pair = loadAddon().openPair();
    const rig = makeRig({ family, tapFd: pair[0] });
    const row = tunnelRow(family, superPacket(family, 5 * SEGMENT));
    assert.equal(rig.send([row]), 0);
    const frame = Buffer.alloc(70_000);
    const bytes = readSync(pair[1], frame);
    assert.equal(bytes, VNET_BYTES + row.bytes.length);
    assert.deepEqual(frame.subarray(VNET_BYTES, bytes), Buffer.from(row.bytes));
    const innerIp = OUTER[family] + ENCAPSULATION;
    const innerTcp = innerIp + (row.csumStart as number);
    assert.deepEqual([...frame.subarray(0, 2)], [9, family === 4 ? 0x21 : 0x44]);
    const words = new Uint16Array(frame.buffer, frame.byteOffset, 12);
    assert.deepEqual([...words.subarray(1, 5)], [innerTcp + 20, SEGMENT, innerTcp, 16]);
    assert.deepEqual([...words.subarray(10)], [OUTER[family] - 8, innerIp]);
    assert.equal(rig.stat('tunnelWrites'), 1);
    assert.equal(rig.receive(1).length, 0);
    rig.end();
    for (const fd of pair) rig.addon.close(fd);
  });

  test(`IPv${family}: what the TAP refuses is segmented, and it is not asked again`, () => {
    const pair = loadAddon().openPair();
    loadAddon().close(pair[1]); // a write fails with EPIPE from now on
    const rig = makeRig({ family, tapFd: pair[0] });
    const inner = superPacket(family, 5 * SEGMENT);
    for (const round of [1, 2]) {
      assert.equal(rig.send([tunnelRow(family, inner)]), 0, `round ${round}`);
      const datagrams = rig.receive(5);
      assert.equal(datagrams.length, 5);
      for (const { bytes } of datagrams) {
        assert.equal(bytes[0], 0xee);
        assert.ok(hasGoodChecksum(bytes.subarray(ENCAPSULATION)));
      }
    }
    assert.equal(rig.stat('tunnelFallbacks'), 1);
    assert.equal(rig.stat('tunnelWrites'), 0);
    rig.end();
    rig.addon.close(pair[0]);
  });
}

test('without the feature or without a TAP a tunnel row is segmented', () => {
  const pair = loadAddon().openPair();
  for (const options of [{ tapFd: pair[0], features: FEATURES_ALL & ~FEATURE.tunnelGso }, {}]) {
    const rig = makeRig(options);
    assert.equal(rig.send([tunnelRow(4, superPacket(4, 3 * SEGMENT))]), 0);
    assert.equal(rig.receive(3).length, 3);
    assert.equal(rig.stat('tunnelFallbacks'), 0);
    rig.end();
  }
  for (const fd of pair) loadAddon().close(fd);
});

test('a plain packet of the same flow leaves before the super-packet behind it', () => {
  const pair = loadAddon().openPair();
  const rig = makeRig({ tapFd: pair[0] });
  const small = { bytes: pattern(100), headerBytes: ENCAPSULATION };
  assert.equal(rig.send([small, tunnelRow(4, superPacket(4, 3 * SEGMENT)), small]), 0);
  assert.equal(rig.receive(2).length, 2);
  assert.equal(rig.stat('udpMessagesOut'), 2); // not packed together across the super-packet
  rig.end();
  for (const fd of pair) rig.addon.close(fd);
});

test('a tunnel row too short for its outer headers is refused', () => {
  const pair = loadAddon().openPair();
  const rig = makeRig({ tapFd: pair[0] });
  const row = { ...tunnelRow(4, superPacket(4, 3 * SEGMENT)), headerBytes: 30 };
  assert.equal(rig.send([row]), 1);
  assert.equal(rig.result(0), LAYOUT.rowBad);
  rig.end();
  for (const fd of pair) rig.addon.close(fd);
});

test('the outer headers: addresses, ports, lengths, and sums that a checker agrees with', () => {
  const words = (text: string): Words => parseAddress(text) as Words;
  for (const family of [4, 6] as const) {
    const from = words(family === 4 ? '192.0.2.1' : '2001:db8::1');
    const to = words(family === 4 ? '192.0.2.2' : '2001:db8::2');
    const mac = parseMac('02:aa:bb:cc:dd:ee');
    const link = { family, underlayAddress: from, tapMac: mac, sendPorts: [4000, 4001] };
    const outer = new OuterHeaders(link as unknown as LinkTask);
    const view = new DataView(new ArrayBuffer(300));
    const rows = new Int32Array(LAYOUT.rowInts);
    rows[ROW.port] = 8472;
    rows.set(to, ROW.address);
    outer.push(view, 100, 200, 1, 2, rows, ROW.port);
    assert.equal(outer.headerBytes, OUTER[family]);
    const ip = new Uint8Array(view.buffer, 100 - 8 - (family === 4 ? 20 : 40));
    assert.equal(view.getUint16(100 - OUTER[family] + 12), family === 4 ? 0x0800 : 0x86dd);
    assert.deepEqual(
      [view.getUint16(92), view.getUint16(94), view.getUint16(96)],
      [4001, 8472, 208],
    );
    // The field holds the pseudo-header sum; with the sum of the rest in place of it the packet must check.
    const datagram = Uint8Array.from(ip.subarray(0, (family === 4 ? 28 : 48) + 200));
    const at = family === 4 ? 20 : 40;
    let sum = 0;
    for (let i = at; i < datagram.length; i += 2)
      sum += ((datagram[i] as number) << 8) | (datagram[i + 1] as number);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    new DataView(datagram.buffer).setUint16(at + 6, ~sum & 0xffff);
    assert.ok(hasGoodChecksum(datagram), `IPv${family}`);
    assert.ok(outer.fits(65_535 - (family === 4 ? 28 : 48)));
    assert.ok(!outer.fits(65_536 - (family === 4 ? 28 : 48)));
  }
});
