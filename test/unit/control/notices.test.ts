/** Which warnings the people of the cluster are told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HealthWarning } from '../../../src/control/observe/health-warnings.ts';
import { Notices } from '../../../src/control/observe/notices.ts';

function warning(code: string): HealthWarning {
  const words = { title: 'Title', text: 'text', advice: 'advice' };
  return { code, severity: 'warning', ...words, impactsConnectivity: false };
}

test('a warning is told when it is shown first, and again when it was over in between', () => {
  const notices = new Notices();
  const reasons = (...codes: string[]): string[] =>
    notices.newOf(codes.map(warning)).map(({ reason }) => reason);
  assert.deepEqual(reasons('mtu-mismatch'), ['MtuMismatch']);
  assert.deepEqual(reasons('mtu-mismatch', 'worker-restarts'), ['WorkerRestarts']);
  assert.deepEqual(reasons(), []);
  assert.deepEqual(reasons('mtu-mismatch'), ['MtuMismatch']);
});

test('what all nodes see at once, and what strangers can cause, is told nobody', () => {
  const codes = ['store-away', 'peers-unreachable', 'leases-skipped', 'drops-spoofed'];
  assert.deepEqual(new Notices().newOf(codes.map(warning)), []);
});

test('what is told says what is wrong and what to do', () => {
  const [notice] = new Notices().newOf([warning('route-shadowed')]);
  assert.deepEqual(notice, {
    ...{ reason: 'RouteShadowed', isWarning: true, text: 'Title: text. advice' },
  });
});
