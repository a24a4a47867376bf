/**
 * TCP streams through an encapsulation that encrypts (the test seal of the sanitizer build), over a network that damages datagrams. Exits
 * 0 and prints how many did not open, or throws.
 */
import assert from 'node:assert/strict';
import { Mesh } from '../mesh/mesh.ts';
import { Stream } from '../mesh/stream.ts';
import { toyOf } from '../mesh/toy.ts';
import { pattern } from '../packets.ts';

const ROUNDS_MAX = 50;

for (const family of [4, 6] as const) {
  const faults = { corruption: 0.1, reordering: 0.05, loss: 0.02, merging: 0.7 };
  const mesh = Mesh.start({ ...toyOf(2, true), seed: 5, family, faults });
  const stream = new Stream(mesh, 1, 2, pattern(150_000));
  for (let round = 0; round < ROUNDS_MAX && stream.missingBytes > 0; round++) {
    stream.send();
    mesh.settle();
    stream.receive();
  }
  assert.equal(stream.missingBytes, 0);
  assert.ok(stream.merged > 0);
  const node = mesh.node(2);
  const dropped = node.count('inPackets') - node.count('deliveredPackets');
  assert.equal(
    node.drops('inUnknownPeer') + node.drops('inTruncated') + node.drops('inBadHeader'),
    dropped,
  );
  assert.equal(node.stat('badChecksum'), 0);
  process.stdout.write(
    `${dropped} of ${node.count('inPackets')} datagrams did not open, IPv${family}\n`,
  );
  mesh.close();
}
