/** Bulk flows in a queue of their own, through a whole worker (TUN: socketpairs, underlay: loopback UDP). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RecentFlows } from '../../../src/dataplane/recent-flows.ts';
import { GSO, GSO_FLAG } from '../../../src/memory/layout.ts';
import { pattern, tcpPacket, udpPacket, vxlanPayload } from '../../support/packets.ts';
import { Rig } from '../../support/rig.ts';
import { withPartialChecksum } from '../../support/segmenter.ts';

test('of two flows of one place the first stays a bulk flow, and its place is free a second later', () => {
  const flows = new RecentFlows(1_000);
  const [first, second] = [5, 5 + 1_024];
  flows.noteIfFree(first, 2_000);
  flows.noteIfFree(second, 2_500);
  assert.deepEqual([flows.has(first, 2_500), flows.has(second, 2_500)], [true, false]);
  flows.noteIfFree(second, 3_001);
  assert.deepEqual([flows.has(first, 3_001), flows.has(second, 3_001)], [false, true]);
});

const ADDRESSES = {
  4: { near: '10.244.1.2', far: '10.244.2.2', headers: 40, gso: GSO.tcp4 },
  6: { near: 'fd00:244:0:1::2', far: 'fd00:244:0:2::2', headers: 60, gso: GSO.tcp6 },
} as const;
const ACK = 0x10;

for (const family of [4, 6] as const) {
  const { near, far, headers, gso } = ADDRESSES[family];
  const out = { source: near, destination: far };
  const back = { source: far, destination: near, sourcePort: 80, destinationPort: 5000 };
  const ack = tcpPacket({ ...back, flags: ACK, payload: new Uint8Array(0) });
  const other = tcpPacket({ ...back, destinationPort: 5001, payload: pattern(100) });
  const small = udpPacket({ ...back, payload: pattern(20) });

  const superPacket = (rig: Rig): void => {
    const packet = withPartialChecksum(
      tcpPacket({ ...out, sourcePort: 5000, destinationPort: 80, payload: pattern(9_000) }),
    );
    const size = 1450 - headers;
    rig.outbound(packet, gso | GSO_FLAG.needsCsum, size, headers - 20, 16);
    for (let some = rig.takeUdp(); some.length > 0; some = rig.takeUdp());
  };
  const writtenTo = (rig: Rig, packet: Uint8Array): { main: number; bulk: number } => {
    rig.inbound(vxlanPayload(packet));
    return { main: rig.takeTun().length, bulk: rig.bulk?.end.takeTun().length ?? -1 };
  };

  test(`IPv${family}: what answers a flow with super-packets goes in by the bulk queue, other flows do not`, async () => {
    const rig = new Rig({ family, hasBulk: true });
    assert.deepEqual(writtenTo(rig, ack), { main: 1, bulk: 0 }, 'not known yet');
    superPacket(rig);
    assert.deepEqual(writtenTo(rig, ack), { main: 0, bulk: 1 });
    for (const packet of [other, small])
      assert.deepEqual(writtenTo(rig, packet), { main: 1, bulk: 0 });
    assert.deepEqual(writtenTo(rig, ack), { main: 0, bulk: 1 });
    await sleep(1_100);
    assert.deepEqual(writtenTo(rig, ack), { main: 1, bulk: 0 }, 'a second later it is over');
    assert.ok(rig.isBalanced());
    rig.close();
  });

  test(`IPv${family}: a flow that comes in super-packets is one, too`, () => {
    const rig = new Rig({ family, hasBulk: true });
    const data = tcpPacket({ ...back, payload: pattern(1_350) });
    const batch = (): void => {
      for (let i = 0; i < 8; i++) rig.stageUdp(i, vxlanPayload(data));
      rig.addon.udpSend(rig.farEngine, 0, 8);
      rig.forwarder.breath.take();
    };
    const bulkBytes = (): number => {
      const written = rig.bulk?.end.takeTun() ?? [];
      return written.reduce((sum, { packet }) => sum + packet.length, 0);
    };
    batch();
    assert.ok(rig.takeTun().length > 0, 'until it is known');
    assert.ok(bulkBytes() > 0);
    batch();
    assert.equal(rig.takeTun().length, 0);
    assert.ok(bulkBytes() >= 8 * 1_350);
    assert.ok(rig.isBalanced());
    rig.close();
  });

  test(`IPv${family}: what waits in the bulk queue leaves by its own socket, behind what does not`, () => {
    const rig = new Rig({ family, hasBulk: true });
    const bulk = rig.bulk as NonNullable<Rig['bulk']>;
    const packet = udpPacket({ ...out, payload: pattern(20) });
    bulk.end.stageTun(0, packet);
    bulk.end.sendTun(1);
    rig.outbound(packet);
    const ports = rig.takeUdp().map(({ port }) => port);
    assert.deepEqual(ports, [rig.port, bulk.port]);
    assert.equal(rig.count('sentPackets'), 2);
    assert.ok(rig.isBalanced());
    rig.close();
  });
}
