/** The seam for encryption; a sealed link is tested in test/fuzz, by the sanitizer build. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { FlannelUdpEncap } from '../../../src/dataplane/encap/flannel-udp.ts';
import { VxlanEncap } from '../../../src/dataplane/encap/vxlan.ts';
import { RouteTable } from '../../../src/dataplane/routes/table.ts';
import { DROP } from '../../../src/memory/drops.ts';
import { LAYOUT } from '../../../src/memory/layout.ts';
import { TABLE_BYTES } from '../../../src/memory/table.ts';
import type { LinkTask } from '../../../src/memory/worker-task.ts';
import { projectRoot } from '../../../src/shared/root.ts';

test('no encapsulation takes a datagram that did not open for its own', () => {
  const view = new DataView(new ArrayBuffer(100).slice(0));
  for (let at = 0; at < 100; at++) view.setUint8(at, 0x45); // any byte but the first may be anything
  view.setUint8(0, LAYOUT.sealUnopened);
  const table = new RouteTable(new SharedArrayBuffer(TABLE_BYTES));
  const link = { ownMac: { high: 0x02000000, low: 1 } } as LinkTask;
  const vxlan = new VxlanEncap({ kind: 'vxlan', vni: 1, port: 8472 }, link, table);
  assert.equal(vxlan.pull(view, 0, 100), -1 - DROP.inBadHeader);
  const udp = new FlannelUdpEncap({ kind: 'udp', port: 8285 }, link, table);
  assert.equal(udp.pull(view, 0, 100), -1 - DROP.inNotIp);
});

test('the addon that is shipped has no seal', () => {
  const bytes = readFileSync(path.join(projectRoot(), 'native/build/weft.node'));
  assert.ok(bytes.includes('createEngine'), 'names of functions are in it');
  assert.ok(!bytes.includes('sealLink'));
});
