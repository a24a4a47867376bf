/**
 * systemd-networkd beside weftd in a booted Debian: what `weft install` tells it, what happens without, and what systemd's own descriptor
 * store leaves of a stopped service.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildFabric } from '../../lab/fabric.ts';
import { networkConfig } from '../../lab/lab.ts';
import { Machine } from '../../lab/machine.ts';
import { LabScope } from '../../lab/namespace.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

/** What an operator might write for everything that is not a real interface; claim0 shows that it works. */
const GREEDY = '[Match]\nName=flannel* claim0\n[Network]\nAddress=192.0.2.77/24\n';
const TAKEN = /192\.0\.2\.77\/24/;

describe('systemd-networkd beside weftd in a booted Debian', () => {
  let scope: LabScope;
  let machine: Machine;
  const says = async (command: string, ...words: string[]): Promise<string> =>
    (await machine.exec(command, words, { timeoutMs: 60_000 })).stdout;
  const write = (file: string, text: string): void => {
    const place = path.join(machine.root, file);
    mkdirSync(path.dirname(place), { recursive: true });
    writeFileSync(place, text);
  };
  const addresses = (device: string): Promise<string> => says('ip', '-br', 'addr', 'show', device);
  const health = async (): Promise<{ code: string; text: string }[]> => {
    const command = ['status', '--json'];
    const { stdout } = await machine.exec('weft', command, { allowFailure: true });
    return JSON.parse(stdout).health;
  };

  before(async () => {
    scope = await LabScope.open();
    const [n1, n2] = [await scope.namespace('n1'), await scope.namespace('n2')];
    await buildFabric(scope, [n1, n2], { shape: 'point-to-point' });
    const store = path.join(scope.tempDir, 'store');
    for (const part of ['', 'subnets', 'leases']) {
      mkdirSync(path.join(store, part), { recursive: true });
      chmodSync(path.join(store, part), 0o777);
    }
    writeFileSync(path.join(store, 'config'), JSON.stringify(networkConfig('vxlan', [4])));
    const shared = { [store]: '/srv/weft', [projectRoot()]: '/opt/weft' };
    machine = await Machine.boot(scope, { name: 'nwd', namespace: n1, shared });
    await says('/opt/weft/bin/weft', 'install', '--systemd');
    write('etc/default/weftd', 'FLANNELD_STORE=file:/srv/weft\nFLANNELD_IFACE=eth0\n');
    await says('systemctl', 'start', 'weftd');
    await says('ip', 'link', 'add', 'claim0', 'type', 'veth', 'peer', 'name', 'claim1');
    await says('ip', 'link', 'set', 'claim1', 'up');
    write('etc/systemd/network/10-greedy.network', GREEDY);
    await says('systemctl', 'start', 'systemd-networkd');
  });
  after(async () => {
    assert.deepEqual(await scope?.close(), []);
  });

  it('keeps off the devices of weft, while it takes another by the same file', async () => {
    await until('claim0 is taken', async () => TAKEN.test(await addresses('claim0')));
    assert.match(await says('networkctl', '--no-legend', 'list', 'flannel.1'), /unmanaged/);
    assert.match(await addresses('flannel.1'), /10\.244\.\d+\.0\/32/);
    assert.doesNotMatch(await addresses('flannel.1'), TAKEN);
  });

  it('told otherwise, it takes flannel.1: address and route are put back, and what it gave is removed with that', async () => {
    // An empty file of the same name in /etc takes ours out of force.
    write('etc/systemd/network/00-weft.network', '');
    await says('networkctl', 'reload');
    const healed = /device flannel\.1 was changed: set up again/;
    await until('it took flannel.1', async () => healed.test(await machine.journal('weftd')));
    await until('its own address, and no other', async () => {
      const text = await addresses('flannel.1');
      return /10\.244\.\d+\.0\/32/.test(text) && !TAKEN.test(text);
    });
    await until('its route', async () =>
      (await says('ip', 'route', 'show', 'proto', '86')).includes('10.244.0.0/16 dev flannel.1'),
    );
  });

  it('an address that is added to flannel.1 is named, with the manager that runs, by status and doctor', async () => {
    await says('ip', 'addr', 'add', '192.0.2.77/24', 'dev', 'flannel.1');
    const named = /flannel\.1 has 192\.0\.2\.77\/24; systemd-networkd runs on this host/;
    await until('the warning', async () =>
      (await health()).some(({ code, text }) => code === 'foreign-address' && named.test(text)),
    );
    const doctor = ['doctor', '--json', '--only', 'foreign-address'];
    const { stdout } = await machine.exec('weft', doctor, { allowFailure: true });
    assert.match(stdout, /flannel\.1 has 192\.0\.2\.77\/24; systemd-networkd runs here/);
  });

  it('systemctl restart keeps the device in the store, systemctl stop lets it go', async () => {
    const index = async (): Promise<string | undefined> =>
      /^(\d+): flannel\.1:/m.exec(await says('ip', '-o', 'link'))?.[1];
    const before = await index();
    assert.ok(before);
    await says('systemctl', 'restart', 'weftd');
    assert.equal(await index(), before);
    await says('systemctl', 'stop', 'weftd');
    await until('the store is empty', async () => (await index()) === undefined);
    const routes = await says('ip', 'route', 'show', 'proto', '86');
    assert.match(routes, /^blackhole 10\.244\.0\.0\/16 metric 4294967294\s*$/);
  });
});
