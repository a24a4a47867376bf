/** What `weft cluster check` makes of a daemon's pages. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReachCell, ReachNode, ReachPage } from '../../../src/api/reach.ts';
import { type ClusterFacts, clusterOf, isBroken } from '../../../src/cli/cluster/model.ts';
import { renderCluster } from '../../../src/cli/cluster/render.ts';
import { PLAIN } from '../../../src/cli/style.ts';

const node = (i: number, more: Partial<ReachNode> = {}): ReachNode => ({
  ...{ key: `k${i}`, name: `n${i}`, nodeName: `worker-${i}`, subnet: `10.244.${i}.0/24` },
  ...{ subnets: [`10.244.${i}.0/24`], publicIps: [`10.99.0.${i}`], self: i === 1 },
  ...{ kind: 'weft', mtu: 1450, version: '1.2.3', via: null },
  ...more,
});
const cell = (from: number, to: number, state: ReachCell['state']): ReachCell => ({
  ...{ from: `k${from}`, to: `k${to}`, state, rttMs: state === 'ok' ? 0.5 : null },
  ...{ lossRatio: 0, lostFamilies: [] },
});
const reach = (cells: ReachCell[], nodes = [node(1), node(2), node(3)]): ReachPage => ({
  ...{ nodes, cells, complete: true },
});
const WELL = [cell(1, 2, 'ok'), cell(1, 3, 'ok'), cell(2, 3, 'ok'), cell(3, 2, 'ok')];
const check = (more: Partial<ClusterFacts>) => {
  const facts = { backend: 'vxlan', reach: reach(WELL), skipped: [], largest: new Map() };
  return clusterOf({ ...facts, ...more });
};
const states = (answer: ReturnType<typeof check>) => answer.nodes.map(({ state }) => state);

test('all is well: names, versions and MTUs as the nodes say them, and nothing made up', () => {
  const stock = node(3, { kind: 'other', mtu: null, version: null });
  const answer = check({ reach: reach(WELL, [node(1), node(2), stock]) });
  assert.deepEqual(states(answer), ['ok', 'ok', 'ok']);
  assert.equal(isBroken(answer), false);
  const text = renderCluster(answer, PLAIN).split('\n');
  assert.match(text[0] ?? '', /^NAME +SUBNET +NODE +BACKEND +VERSION +MTU +RTT +STATE$/);
  assert.match(text[1] ?? '', /^worker-1 .* 1\.2\.3 +1450 +- +ok, this node$/);
  assert.match(text[3] ?? '', /^worker-3 .* vxlan +unknown +unknown +0\.50 ms +ok$/);
  assert.match(text.at(-1) ?? '', /^3 nodes, all known nodes are ok$/);
});

test('unreachable, large packets lost, cut off from others, a lease that is not used', () => {
  const cells = [cell(1, 2, 'lost'), cell(1, 3, 'ok'), cell(2, 3, 'lost'), cell(1, 4, 'ok')];
  const nodes = [node(1), node(2), node(3), node(4), node(5)];
  const answer = check({
    reach: reach(cells, nodes),
    largest: new Map([
      ['k3', true],
      ['k4', false],
    ]),
    skipped: [
      { key: 'k6', nodeName: 'worker-6', why: 'no public IPv4 address' },
      { key: 'k6', nodeName: 'worker-6', why: 'no public IPv6 address' },
      { key: 'k2', nodeName: 'worker-2', why: 'only in one family' },
    ],
  });
  assert.deepEqual(states(answer), ['ok', 'unreachable', 'cut', 'large-lost', 'unknown', 'unused']);
  assert.equal(isBroken(answer), true);
  const text = renderCluster(answer, PLAIN);
  assert.match(text, /^worker-2 .* UNREACHABLE$/m);
  assert.match(text, /^worker-3 .* NO ANSWER TO worker-2$/m);
  assert.match(text, /^worker-4 .* LARGE PACKETS ARE LOST/m);
  assert.match(text, /^worker-6 .* NOT USED: no public IPv6 address$/m);
  assert.match(text, /^6 nodes, 4 with trouble, 1 unknown$/m);
});

test('a node to which the daemon sends nothing large any more is not known to be well', () => {
  const answer = check({
    largest: new Map([
      ['k2', true],
      ['k3', null],
    ]),
  });
  assert.deepEqual(states(answer), ['ok', 'ok', 'unknown']);
  assert.equal(isBroken(answer), false);
  const nobody = check({
    largest: new Map([
      ['k2', null],
      ['k3', null],
    ]),
  });
  assert.equal(isBroken(nobody), true);
});

test('nobody could be tried: no good news', () => {
  const answer = check({ reach: reach([]) });
  assert.deepEqual(states(answer), ['ok', 'unknown', 'unknown']);
  assert.equal(isBroken(answer), true);
  assert.match(renderCluster(answer, PLAIN), /^3 nodes, no other one could be tried yet/m);
  const alone = check({ reach: reach([], [node(1)]) });
  assert.equal(isBroken(alone), false);
  assert.match(renderCluster(alone, PLAIN), /^1 node, all known nodes are ok$/m);
});

test('with other stores there is no column of names', () => {
  const nodes = [node(1, { nodeName: null }), node(2, { nodeName: null })];
  const text = renderCluster(check({ reach: reach([cell(1, 2, 'lost')], nodes) }), PLAIN);
  assert.match(text, /^SUBNET +NODE /);
});
