/** Several whole workers, joined by a network that does what networks do (test/support/mesh). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../../lab/random.ts';
import type { DropName } from '../../../src/memory/drops.ts';
import type { SourceCheck } from '../../../src/memory/worker-task.ts';
import type { Faults } from '../../support/mesh/fabric.ts';
import { meshForTest } from '../../support/mesh/for-test.ts';
import { FLANNEL_UDP, type Mesh, VXLAN } from '../../support/mesh/mesh.ts';
import { Stream } from '../../support/mesh/stream.ts';
import { UNDERLAY_PORT } from '../../support/mesh/underlay.ts';
import { pattern, udpPacket } from '../../support/packets.ts';

const EVERYTHING: Faults = {
  loss: 0.05,
  duplication: 0.05,
  corruption: 0.05,
  reordering: 0.1,
  congestion: 0.02,
  delayStepsMax: 3,
  merging: 0.7,
};

/** Random packets between random pods, for so many steps. */
function chatter(mesh: Mesh, seed: number, steps: number): void {
  const random = new Random(seed);
  for (let step = 0; step < steps; step++) {
    for (let i = random.below(8); i > 0; i--) {
      const from = 1 + random.below(mesh.nodes.length);
      const source = mesh.node(from).identity.pod;
      const destination = random.pick(mesh.nodes).identity.pod;
      const payload = pattern(random.below(1400), random.below(1000));
      mesh.write(from, udpPacket({ source, destination, payload }));
    }
    mesh.step();
  }
  mesh.settle();
}

function digestOf(seed: number): string {
  const mesh = meshForTest({ ...VXLAN, seed, nodes: 4, faults: EVERYTHING });
  chatter(mesh, 1, 40);
  return mesh.log.digest();
}

test('a mesh run is its seed: the same one gives the same events and bytes, another one others', () => {
  const first = digestOf(7);
  assert.equal(digestOf(7), first);
  assert.notEqual(digestOf(8), first);
});

test('the log of a mesh says what became of a datagram, in lines and as a sequence diagram', () => {
  const mesh = meshForTest({ ...VXLAN, seed: 1, nodes: 2, faults: { delayStepsMax: 3 } });
  const packet = udpPacket({ source: '10.244.1.2', destination: '10.244.2.2' });
  for (let i = 0; i < 8; i++) mesh.write(1, packet);
  mesh.settle();
  const lines = mesh.log.lines();
  assert.equal(lines[0], 'step 1  pod1 -> node1: 28 B');
  assert.match(lines.join('\n'), /^step 1 {2}node1 -> node2: #1 50 B/m);
  assert.match(lines.join('\n'), /^step 1 {2}node1 -> node2: #\d 50 B late by \d$/m);
  assert.match(lines.join('\n'), /^step \d {2}fabric -> node2: #8$/m);
  assert.match(mesh.log.mermaid(), /^sequenceDiagram\n {2}pod1->>node1: 1: 28 B\n/);
});

const FRAME_TO_NODE_2 = [8, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];

/** From a pod of `source` to one of `destination`, framed for node 2. */
function frame(source: string, destination: string): Uint8Array {
  return Uint8Array.of(...FRAME_TO_NODE_2, ...udpPacket({ source, destination }));
}

interface Admission {
  what: string;
  send(mesh: Mesh): void;
  verdicts: Record<SourceCheck, DropName | 'accepted'>;
  /** of node 1 */
  vni?: number;
}

const [POD_1, POD_2, POD_3] = ['10.244.1.2', '10.244.2.2', '10.244.3.2'];
const always = (verdict: DropName | 'accepted') => ({
  lease: verdict,
  vtep: verdict,
  off: verdict,
});

const admissions: Admission[] = [
  {
    what: "a node's own pod",
    send: (mesh) => mesh.write(1, udpPacket({ source: POD_1, destination: POD_2 })),
    verdicts: always('accepted'),
  },
  {
    what: 'a stranger with a perfect frame',
    send: (mesh) => mesh.inject('198.51.100.9', 2, frame(POD_1, POD_2)),
    verdicts: { lease: 'inUnknownPeer', vtep: 'inUnknownPeer', off: 'accepted' },
  },
  {
    what: 'a sender whose address lies in the overlay',
    send: (mesh) => mesh.inject(POD_1, 2, frame(POD_1, POD_2)),
    verdicts: { lease: 'inOverlayLoop', vtep: 'inOverlayLoop', off: 'accepted' },
  },
  {
    what: 'a node of another VXLAN network',
    send: (mesh) => mesh.write(1, udpPacket({ source: POD_1, destination: POD_2 })),
    verdicts: always('inWrongVni'),
    vni: 2,
  },
  {
    what: "another node's pod as the source",
    send: (mesh) => mesh.write(1, udpPacket({ source: POD_3, destination: POD_2 })),
    verdicts: { lease: 'inForeignSource', vtep: 'accepted', off: 'accepted' },
  },
  {
    what: 'a source that nobody leases',
    send: (mesh) => mesh.write(1, udpPacket({ source: '10.244.9.9', destination: POD_2 })),
    verdicts: { lease: 'inForeignSource', vtep: 'accepted', off: 'accepted' },
  },
  {
    what: 'a source outside the overlay',
    send: (mesh) => mesh.write(1, udpPacket({ source: '203.0.113.9', destination: POD_2 })),
    verdicts: always('accepted'),
  },
  {
    what: 'a loopback source',
    send: (mesh) => mesh.write(1, udpPacket({ source: '127.0.0.1', destination: POD_2 })),
    verdicts: always('inForeignSource'),
  },
  {
    what: 'a source that is the address of its own host',
    send: (mesh) => mesh.write(1, udpPacket({ source: '203.0.113.1', destination: POD_2 })),
    verdicts: always('accepted'),
  },
  {
    what: "the receiver's own address on another device as the source",
    send: (mesh) => mesh.write(1, udpPacket({ source: '203.0.113.2', destination: POD_2 })),
    verdicts: always('inForeignSource'),
  },
  {
    what: "the receiver's address in the underlay as the source",
    send: (mesh) => mesh.write(1, udpPacket({ source: '192.0.2.2', destination: POD_2 })),
    verdicts: always('inForeignSource'),
  },
  {
    what: "the receiver's overlay device as the source",
    send: (mesh) => mesh.write(1, udpPacket({ source: '10.244.2.0', destination: POD_2 })),
    verdicts: always('inForeignSource'),
  },
  {
    what: "a destination that is another node's",
    send: (mesh) => mesh.inject('192.0.2.1', 2, frame(POD_1, POD_3)),
    verdicts: { lease: 'inNotOurs', vtep: 'inNotOurs', off: 'accepted' },
  },
];

for (const { what, send, verdicts, vni = 1 } of admissions) {
  for (const sourceCheck of ['lease', 'vtep', 'off'] as const) {
    const verdict = verdicts[sourceCheck];
    test(`--source-check=${sourceCheck}, ${what}: ${verdict}`, () => {
      const port = UNDERLAY_PORT;
      const encapOf = (node: number) => ({
        kind: 'vxlan' as const,
        vni: node === 1 ? vni : 1,
        port,
      });
      const mesh = meshForTest({ ...VXLAN, encapOf, seed: 1, nodes: 3, sourceCheck });
      send(mesh);
      mesh.settle();
      assert.equal(mesh.take(2).length, verdict === 'accepted' ? 1 : 0);
      if (verdict !== 'accepted') assert.equal(mesh.node(2).drops(verdict), 1);
    });
  }
}

for (const [name, kind, family] of [
  ['VXLAN', VXLAN, 4],
  ['VXLAN', VXLAN, 6],
  ['flannel-UDP', FLANNEL_UDP, 4],
] as const) {
  test(`${name} IPv${family}: a TCP stream over a calm network arrives whole and merged`, () => {
    const mesh = meshForTest({ ...kind, seed: 1, nodes: 2, family, faults: { merging: 0.5 } });
    const stream = new Stream(mesh, 1, 2, pattern(200_000));
    stream.send();
    mesh.settle();
    stream.receive();
    assert.equal(stream.missingBytes, 0);
    assert.ok(stream.merged > 0);
  });

  test(`${name} IPv${family}: over a hostile network no wrong byte arrives, and in the end all right ones`, () => {
    const mesh = meshForTest({ ...kind, seed: 3, nodes: 3, family, faults: EVERYTHING });
    const there = new Stream(mesh, 1, 2, pattern(150_000, 5));
    const back = new Stream(mesh, 2, 1, pattern(50_000, 6));
    const streams = [there, back];
    const missing = (): number => there.missingBytes + back.missingBytes;
    for (let round = 0; round < 50 && missing() > 0; round++) {
      for (const stream of streams) stream.send();
      mesh.settle();
      for (const stream of streams) stream.receive();
      if (round === 0) assert.ok(missing() > 0, 'the network was hostile');
    }
    assert.equal(missing(), 0);
    assert.ok(there.merged > 0);
  });
}
