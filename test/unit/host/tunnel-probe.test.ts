/** The probe of tunnel GSO, byte by byte, against packets that the tests build in their own plain way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { probeFrame } from '../../../src/host/tunnel-probe.ts';
import { parseMac } from '../../../src/shared/address.ts';
import { ipPacket, slowChecksum } from '../../support/packets.ts';
import { words } from '../../support/rig.ts';

const VNET_BYTES = 24;
const MAC = { tap: '02:aa:bb:cc:dd:ee', own: '02:11:22:33:44:55', peer: 'fe:dc:ba:98:76:54' };
const ADDRESSES = {
  4: { from: '192.0.2.1', to: '198.51.100.250', innerFrom: '10.244.1.0', innerTo: '10.244.255.0' },
  6: { from: '2001:db8::1', to: '2001:db8:f::fe', innerFrom: 'fd00:1::', innerTo: 'fd00:ff::' },
} as const;
const MARK = 0x1234;
const mac = (text: string) => {
  const parsed = parseMac(text);
  assert.ok(parsed);
  return parsed;
};
const macBytes = (text: string): number[] =>
  text.split(':').map((part) => Number.parseInt(part, 16));

function frameOf(family: 4 | 6): Buffer {
  const { from, to, innerFrom, innerTo } = ADDRESSES[family];
  const ends = { from: words(from), to: words(to) };
  const inner = { innerFrom: words(innerFrom), innerTo: words(innerTo) };
  const macs = { tapMac: mac(MAC.tap), ownMac: mac(MAC.own), peerMac: mac(MAC.peer) };
  const device = { family, tapFd: -1, interfaceIndex: 1, port: 8472, vni: 0xabcdef };
  return probeFrame({ ...device, ...ends, ...inner, ...macs }, MARK);
}

/** As the kernel does: sums up what begins at `start`, seed included, and puts the result into the field. */
function finish(frame: Buffer, start: number, field: number): void {
  frame.writeUInt16BE(slowChecksum(frame.subarray(start)), start + field);
}

for (const family of [4, 6] as const) {
  const ipBytes = family === 4 ? 20 : 40;
  const etherType = family === 4 ? [0x08, 0x00] : [0x86, 0xdd];
  const udpAt = VNET_BYTES + 14 + ipBytes;
  const innerAt = udpAt + 8 + 22;
  const tcpAt = innerAt + ipBytes;

  test(`IPv${family}: once the kernel has filled the checksums it is VXLAN with a TCP reset inside`, () => {
    const frame = frameOf(family);
    finish(frame, tcpAt, 16);
    finish(frame, udpAt, 6);
    const { from, to, innerFrom, innerTo } = ADDRESSES[family];
    const tcp = new Uint8Array(20 + 16);
    tcp.set([0, 9, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x14]);
    const inner = ipPacket({
      ...{ source: innerFrom, destination: innerTo, protocol: 6, fragment: 0 },
      ...{ transport: tcp, checksumAt: 16 },
    });
    assert.deepEqual([...frame.subarray(innerAt)], [...inner]);
    const vxlan = [8, 0, 0, 0, 0xab, 0xcd, 0xef, 0, ...macBytes(MAC.peer), ...macBytes(MAC.own)];
    const payload = Uint8Array.of(...vxlan, ...etherType, ...inner);
    const head = new Uint8Array(8);
    const headView = new DataView(head.buffer);
    headView.setUint16(0, 8472);
    headView.setUint16(2, 8472);
    headView.setUint16(4, 8 + payload.length);
    const outer = ipPacket({
      ...{ source: from, destination: to, protocol: 17, ttl: 65, id: MARK, fragment: 0 },
      ...{ transport: Uint8Array.of(...head, ...payload), checksumAt: 6 },
    });
    const mark = family === 6 ? frame.readUInt32BE(VNET_BYTES + 14) & 0xfffff : MARK;
    assert.equal(mark, MARK, 'the IPv6 flow label');
    if (family === 6) frame.writeUInt32BE(0x60000000, VNET_BYTES + 14);
    const ethernet = [...macBytes(MAC.tap), ...macBytes(MAC.tap), ...etherType];
    assert.deepEqual([...frame.subarray(VNET_BYTES)], [...ethernet, ...outer]);
  });

  test(`IPv${family}: its vnet header says where everything is`, () => {
    const frame = frameOf(family);
    const header = new Uint16Array(frame.buffer.slice(frame.byteOffset, frame.byteOffset + 24));
    const at = (offset: number): number => offset - VNET_BYTES;
    assert.deepEqual([...frame.subarray(0, 2)], [9, family === 4 ? 0x21 : 0x44]);
    assert.deepEqual([...header.subarray(1, 5)], [at(tcpAt) + 20, 8, at(tcpAt), 16]);
    assert.deepEqual([...header.subarray(10)], [at(udpAt), at(innerAt)]);
  });
}
