/** The web page's model reads nothing that the daemon's pages do not promise: a key with another name would be undefined in silence. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { peersShape } from '../../../src/api/peers.ts';
import { statusShape } from '../../../src/api/status.ts';
import { SelfWatch } from '../../../src/control/observe/self-watch.ts';
import { peersPage } from '../../../src/control/serve/pages/peers.ts';
import { statusPage } from '../../../src/control/serve/pages/status.ts';
import { DROP_REASONS } from '../../../src/memory/drops.ts';
import { projectRoot } from '../../../src/shared/root.ts';
import { madeUpNode, PEER_KEY } from '../../support/made-up-node.ts';

interface Model {
  joinPeers(answer: object, before?: object): Record<string, unknown>[];
  dropRows(answer: object, before: object | undefined, reasons: object): { name: string }[];
  verdictOf(status: object): { state: string; text: string };
}

const FILE = path.join(projectRoot(), 'src/control/serve/web/assets/model.js');
const { joinPeers, dropRows, verdictOf } = (await import(FILE)) as Model;

/** The same, but a key that is not there is an error. */
function strict<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  return new Proxy(value, {
    get: (target, key) => {
      if (typeof key === 'string' && !(key in target)) throw new Error(`the page has no ${key}`);
      return strict(Reflect.get(target, key));
    },
  });
}

const node = madeUpNode();
const whole = statusPage(node, new SelfWatch(node));
const warning = {
  ...{ code: 'x', severity: 'warning', title: 'x', text: 'x', advice: 'x' },
  ...{ impactsConnectivity: false, since: whole.startedAt },
};
const drops = { outbound: { outNoRoute: 3 }, inbound: {} };
const status = strict(statusShape.parse({ ...whole, drops, health: [warning] }));
const { peers } = strict(peersShape.parse(peersPage(node)));
node.reach?.stop();

test('peers: both families of a node are one, with all that is promised of them', () => {
  const [joined, ...others] = joinPeers({ atMs: 2_000, peers }, { atMs: 1_000, peers });
  assert.equal(others.length, 0);
  assert.equal(joined?.['key'], PEER_KEY);
  assert.deepEqual(joined?.['addresses'], ['192.0.2.2', '2001:db8::2']);
  assert.equal(joined?.['sent'], 0);
});

test('peers: one family that does not answer makes the node one that does not', () => {
  const [four, six] = peersShape.parse({ peers }).peers;
  const [joined] = joinPeers({ atMs: 1, peers: [four, { ...six, reach: 'lost' }] });
  assert.equal(joined?.['state'], 'lost');
});

test('status: drops and the verdict', () => {
  const rows = dropRows({ atMs: 2_000, status }, { atMs: 1_000, status }, DROP_REASONS);
  assert.deepEqual(
    rows.map(({ name }) => name),
    ['outNoRoute'],
  );
  assert.deepEqual(verdictOf(status), { state: 'warn', text: 'forwarding, 1 warning' });
  const silent = { ...warning, title: '1 of 2 peers unreachable', impactsConnectivity: true };
  const degraded = strict({ ...statusShape.parse(whole), healthy: false, health: [silent] });
  assert.deepEqual(verdictOf(degraded), {
    state: 'warn',
    text: 'degraded: 1 of 2 peers unreachable',
  });
  const broken = strict({ ...degraded, health: [{ ...silent, severity: 'critical' }] });
  assert.equal(verdictOf(broken).state, 'bad');
});

test('a page that lacks a key of a peer is found', () => {
  const [peer] = peers;
  const { publicIp: _, ...nameless } = peersShape.parse({ peers: [peer] }).peers[0] ?? {};
  assert.throws(() => joinPeers({ atMs: 1, peers: [strict(nameless)] }), /has no publicIp/);
});
