/** Settings by which the kernel does not forward, from a folder that looks like /proc/sys/net. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { forwardingProblem } from '../../../src/host/forwarding.ts';
import { temporaryFolder } from '../../support/folder.ts';

const DEVICES = [
  { device: 'flannel.1', family: 4 },
  { device: 'flannel-v6.1', family: 6 },
] as const;

function settings(folder: string, values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values)) {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, `${value}\n`);
  }
}

test('forwarding: the host, both families, and our own device', async (t) => {
  const folder = await temporaryFolder(t);
  const on = {
    'ipv4/ip_forward': 1,
    'ipv4/conf/flannel.1/forwarding': 1,
    'ipv6/conf/all/forwarding': 1,
  };
  settings(folder, on);
  assert.equal(forwardingProblem([4, 6], DEVICES, folder), '');
  settings(folder, { 'ipv4/conf/flannel.1/forwarding': 0 });
  assert.equal(forwardingProblem([4], DEVICES, folder), 'net/ipv4/conf/flannel.1/forwarding=0');
  settings(folder, { 'ipv4/ip_forward': 0, 'ipv6/conf/all/forwarding': 0 });
  assert.equal(
    forwardingProblem([4, 6], DEVICES, folder),
    'net/ipv4/ip_forward=0, net/ipv6/conf/all/forwarding=0',
  );
  assert.equal(forwardingProblem([6], DEVICES, folder), 'net/ipv6/conf/all/forwarding=0');
});

test('forwarding: what can not be read proves nothing', () => {
  assert.equal(forwardingProblem([4, 6], DEVICES, '/nowhere'), '');
});
