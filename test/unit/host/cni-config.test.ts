/** Which network of /etc/cni/net.d pods get, which plugins it needs, and what other pod networks left. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import {
  isOurs,
  missingPlugins,
  networkIn,
  readCniNetworks,
} from '../../../src/host/cni-config.ts';
import { otherCnisIn } from '../../../src/host/other-cni.ts';

const FLANNEL = JSON.stringify({
  name: 'cbr0',
  cniVersion: '0.3.1',
  plugins: [
    { type: 'flannel', delegate: { hairpinMode: true, isDefaultGateway: true } },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
});
const folder = mkdtempSync(path.join(os.tmpdir(), 'weft-cni-'));
after(() => rmSync(folder, { recursive: true }));
const write = (name: string, text: string): void => writeFileSync(path.join(folder, name), text);

test('the first by name counts; other files are none', async () => {
  assert.equal(await readCniNetworks(path.join(folder, 'none')), undefined);
  write('10-flannel.conflist', FLANNEL);
  write('05-cilium.conf', '{"type":"cilium-cni"}');
  write('00-notes.txt', 'x');
  write('20-broken.json', '{');
  const networks = (await readCniNetworks(folder)) ?? [];
  assert.deepEqual(
    networks.map(({ file, types }) => [file, ...types]),
    [
      ['05-cilium.conf', 'cilium-cni'],
      ['10-flannel.conflist', 'flannel', 'portmap', 'bridge', 'host-local'],
      ['20-broken.json'],
    ],
  );
  assert.deepEqual(networks.map(isOurs), [false, true, false]);
});

test('the bridge and the delegate that a configuration names; nonsense is not understood', () => {
  const own = { type: 'weft', delegate: { bridge: 'pods0', type: 'ptp' } };
  const { bridge, types } = networkIn('a.conf', JSON.stringify(own));
  assert.deepEqual([bridge, types], ['pods0', ['weft', 'ptp', 'host-local']]);
  for (const text of ['[]', 'null', '{"plugins":[]}', '{"plugins":[{}]}', '{"type":5}'])
    assert.deepEqual(networkIn('a', text), { file: 'a', types: [], bridge: undefined }, text);
});

test('plugins that are missing or not executable', async () => {
  write('bridge', '');
  write('portmap', '');
  chmodSync(path.join(folder, 'bridge'), 0o755);
  chmodSync(path.join(folder, 'portmap'), 0o644);
  const missing = await missingPlugins(['bridge', 'portmap', 'loopback', '../x'], folder);
  assert.deepEqual(missing, ['portmap', 'loopback', '../x']);
});

test('other pod networks by devices, rules and files; ours, and what only looks alike, is none', () => {
  const networks = [networkIn('05-cilium.conf', '{"type":"cilium-cni"}')];
  const devices = ['eth0', 'cali0123456789a', 'cali1123456789a', 'cali2123456789a', 'weave'];
  const found = otherCnisIn(devices, ':WEAVE-NPC - [0:0]\n', networks);
  assert.deepEqual(
    found.map(({ name, left }) => [name, ...left]),
    [
      ['Calico', 'device cali0123456789a', 'device cali1123456789a'],
      ['Cilium', '05-cilium.conf'],
      ['Weave Net', 'device weave', 'rules in iptables'],
    ],
  );
  const ours = [networkIn('10-flannel.conflist', FLANNEL)];
  assert.deepEqual(otherCnisIn(['calix', 'tunl0', 'cni0'], ':KUBE-SERVICES -\n', ours), []);
});
