/** The seam for encapsulations: one that the product does not know, which finds its peers by index, carries packets through whole workers. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../../src/shared/root.ts';
import { meshForTest } from '../../support/mesh/for-test.ts';
import { type Mesh, VXLAN } from '../../support/mesh/mesh.ts';
import { Stream } from '../../support/mesh/stream.ts';
import { indexOf, toyOf } from '../../support/mesh/toy.ts';
import { pattern, udpPacket } from '../../support/packets.ts';

const NODES = 3;
const HOME = '192.0.2.1';
const ELSEWHERE = '203.0.113.7';
const TOY = { ...toyOf(NODES), seed: 1 };
const PACKET = udpPacket({ source: '10.244.1.2', destination: '10.244.2.2' });

/** As node `peer` would write it to node 2. */
function datagram(index: number, type = 4): Uint8Array {
  return Uint8Array.of(type, index >> 16, index >> 8, index & 255, ...PACKET);
}

for (const family of [4, 6] as const) {
  test(`streams through a foreign encapsulation arrive whole and merged, IPv${family}`, () => {
    const mesh = meshForTest({ ...TOY, family, faults: { merging: 0.5, reordering: 0.02 } });
    const streams = [
      new Stream(mesh, 1, 2, pattern(100_000, 1)),
      new Stream(mesh, 2, 3, pattern(100_000, 2)),
    ];
    for (const stream of streams) stream.send();
    mesh.settle();
    for (const stream of streams) {
      stream.receive();
      assert.equal(stream.missingBytes, 0);
      assert.ok(stream.merged > 0);
    }
  });
}

/** Node 1 sends one packet from another address: [arrived, dropped as a stranger's]. */
function sentFromElsewhere(mesh: Mesh): [number, number] {
  mesh.move(1, ELSEWHERE);
  mesh.write(1, PACKET);
  mesh.settle();
  return [mesh.take(2).length, mesh.node(2).drops('inUnknownPeer')];
}

test('a node that moved is known by its index, and to VXLAN it is a stranger', () => {
  assert.deepEqual(sentFromElsewhere(meshForTest(TOY)), [1, 0]);
  assert.deepEqual(sentFromElsewhere(meshForTest({ ...VXLAN, nodes: NODES, seed: 1 })), [0, 1]);
});

test('whoever has no index gets in nowhere, whatever --source-check says', () => {
  for (const sourceCheck of ['lease', 'vtep', 'off'] as const) {
    const mesh = meshForTest({ ...TOY, sourceCheck });
    mesh.inject(HOME, 2, datagram(indexOf(2, 9)));
    mesh.inject(HOME, 2, datagram(indexOf(2, 1), 3));
    mesh.inject(HOME, 2, Uint8Array.of(4, 0, 0));
    mesh.settle();
    assert.equal(mesh.take(2).length, 0);
    for (const reason of ['inUnknownPeer', 'inBadHeader', 'inTruncated'] as const)
      assert.equal(mesh.node(2).drops(reason), 1, reason);
    mesh.inject(ELSEWHERE, 2, datagram(indexOf(2, 1)));
    mesh.settle();
    assert.equal(mesh.take(2).length, 1);
  }
});

test("an index answers for its node's pods only", () => {
  const mesh = meshForTest(TOY);
  mesh.inject(HOME, 2, datagram(indexOf(2, 3)));
  mesh.settle();
  assert.equal(mesh.node(2).drops('inForeignSource'), 1);
});

test('the product has taken the encapsulation without an edit', () => {
  const sources = path.join(projectRoot(), 'src');
  for (const file of readdirSync(sources, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue;
    assert.doesNotMatch(readFileSync(path.join(sources, file), 'utf8'), /\btoy\b/i, file);
  }
});
