/** What `weft peers` and `weft drops` print. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderDrops } from '../../../src/cli/commands/drops.ts';
import { dumpPeers, renderPeers } from '../../../src/cli/commands/peers.ts';
import { PLAIN } from '../../../src/cli/style.ts';
import { DROP_NAMES } from '../../../src/memory/drops.ts';

const MAC = '02:00:00:00:00:03';
const unheard = { lastHeardAt: null, sentPackets: 0, sentBytes: 0 };
const quiet = {
  ...{ key: '10.5.2.0-24', family: 4 as const, subnet: '10.5.2.0/24' },
  ...{ publicIp: '192.0.2.2', port: 8285, mac: null },
  ...{ ...unheard, receivedPackets: 0, receivedBytes: 0 },
};
const busy = {
  ...{ key: '10.5.3.0-24', family: 4 as const, subnet: '10.5.3.0/24' },
  ...{ publicIp: '192.0.2.3', port: 8285, mac: MAC, lastHeardAt: '2026-01-01T00:00:00.000Z' },
  ...{ sentPackets: 3, sentBytes: 2048, receivedPackets: 1, receivedBytes: 10 },
  ...{ rttMs: 0.25, lossRatio: 0.5 },
};

test('peers: a table, or a sentence when there are none', () => {
  assert.match(renderPeers({ peers: [] }, 0), /^no peers/);
  const named = renderPeers({ peers: [{ ...quiet, nodeName: 'worker-7' }, busy] }, 0);
  assert.match(named, /^NAME +SUBNET .*\nworker-7 +/);
  const text = renderPeers({ peers: [quiet, busy] }, Date.parse('2026-01-01T00:00:07Z'));
  assert.deepEqual(
    text.split('\n').map((line) => line.split(/ {2,}/)),
    [
      ['SUBNET', 'NODE', 'VTEP-MAC', 'HEARD', 'SENT', 'RECEIVED', 'RTT', 'LOSS'],
      ['10.5.2.0/24', '192.0.2.2', '-', '-', '0 B', '0 B', '-', '-'],
      ['10.5.3.0/24', '192.0.2.3', MAC, '7s ago', '2.0 KiB', '10 B', '0.25 ms', '50%'],
    ],
  );
});

test('peers for scripts: tabs, one line each, nothing rounded', () => {
  assert.equal(
    dumpPeers({ peers: [quiet, busy] }),
    `10.5.2.0-24\t4\t10.5.2.0/24\t192.0.2.2\t8285\t-\t-\t0\t0\t0\t0\t-\t-
10.5.3.0-24\t4\t10.5.3.0/24\t192.0.2.3\t8285\t${MAC}\t1767225600\t3\t2048\t1\t10\t0.25\t0.5`,
  );
});

test('drops: only what there is, what is new since the last look, advice', () => {
  const page = (count: number) => ({
    workers: [
      { worker: 0, outbound: { outNoRoute: 4 }, inbound: { inTtl: 0 } },
      { worker: 1, outbound: { outNoRoute: count }, inbound: { inTtl: 0 } },
    ],
    samples: [],
    nextSequence: 1,
  });
  const first = renderDrops(page(2), undefined, false, PLAIN).split('\n');
  assert.match(first[0] as string, /^REASON +WORKER 0 +WORKER 1 +TOTAL +WHAT/);
  assert.match(first[1] as string, /^outNoRoute +4 +2 +6 +no node leases the destination: /);
  assert.equal(first.length, 2);
  const next = renderDrops(page(5), page(2), false, PLAIN).split('\n');
  assert.match(next[0] as string, /TOTAL +NEW +WHAT/);
  assert.match(next[1] as string, / 9 +\+3 +no node/);
  const all = renderDrops(page(2), undefined, true, PLAIN).split('\n');
  assert.equal(all.length, 1 + DROP_NAMES.length);
  const none = { ...page(0), workers: [{ worker: 0, outbound: {}, inbound: {} }] };
  assert.equal(renderDrops(none, undefined, false, PLAIN), 'nothing was dropped');
  assert.match(renderDrops({ ...none, workers: [] }, undefined, false, PLAIN), /kernel carries/);
});
