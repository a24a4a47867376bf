/** The sums that hold in a mesh after every step: each packet was forwarded or has exactly one reason, and nobody invented one. */
import assert from 'node:assert/strict';
import type { Fabric } from './fabric.ts';
import type { MeshNode } from './node.ts';

export function checkBooks(nodes: readonly MeshNode[], fabric: Fabric): void {
  for (const node of nodes) checkNode(node);
  const { accepted, placed, copies, lost, arrived } = fabric.books;
  const sent = nodes.reduce((sum, node) => sum + node.stat('udpDatagramsOut'), 0);
  assert.equal(sent + placed, accepted, 'the fabric takes what nodes send');
  assert.equal(accepted + copies, lost + arrived + fabric.inFlight, 'the fabric');
  const received = nodes.reduce((sum, node) => sum + node.count('inPackets'), 0);
  assert.equal(received, arrived, 'what the fabric delivered was received');
}

function checkNode(node: MeshNode): void {
  const { name } = node.identity;
  const { counters, drops, stats } = node.totals();
  const sum = (reasons: Record<string, number>): number =>
    Object.values(reasons).reduce((a, b) => a + b, 0);
  assert.equal(counters.outPackets, node.farEnd.stat('tunWrites'), `${name} reads the TUN`);
  assert.equal(counters.outPackets, counters.sentPackets + sum(drops.outbound), `${name} sends`);
  assert.equal(counters.inPackets, counters.deliveredPackets + sum(drops.inbound), `${name} takes`);
  const written = counters.deliveredPackets - stats.coalesced;
  assert.equal(written, node.podReads, `the pods of ${name} read what it writes`);
  assert.equal(counters.icmpSent, node.icmpReads, `the errors of ${name} leave`);
}
