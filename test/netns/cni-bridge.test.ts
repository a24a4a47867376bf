/** The pods' bridge when the node has another subnet than before: real plugins, a real daemon. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { RunResult } from '../../lab/command.ts';
import { Lab } from '../../lab/lab.ts';
import type { Namespace } from '../../lab/namespace.ts';
import { PLUGIN } from '../support/cni-plugin.ts';
import { needs } from '../support/needs.ts';
import { statusOf } from '../support/node-status.ts';
import { first, ipOf } from '../support/stock-flannel.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

/** As an earlier run with other subnets wrote it. */
const OLD_ENV =
  'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.9.1/24\nFLANNEL_IPV6_NETWORK=fd00:244::/48\n' +
  'FLANNEL_IPV6_SUBNET=fd00:244:0:9::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=true\n';

describe("netns: the pods' bridge of an earlier subnet", () => {
  let lab: Lab;
  const pods = new Map<string, Namespace>();
  let folder: string;
  before(async () => {
    lab = await Lab.build({ nodes: [{ kind: 'weft' }], families: [4, 6] });
    for (const id of ['old', 'new']) pods.set(id, await lab.scope.namespace(id));
    folder = path.join(lab.scope.tempDir, 'cni');
    mkdirSync(folder);
  });
  after(() => lab?.close());

  const plugin = (command: string, id: string, subnetFile: string): Promise<RunResult> => {
    const environment = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_IFNAME: 'eth9',
      CNI_NETNS: `/var/run/netns/${pods.get(id)?.name}`,
      CNI_PATH: '/usr/lib/cni',
    };
    const words = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const config = {
      ...{ cniVersion: '0.3.1', name: 'cbr0', type: 'flannel', subnetFile },
      ...{ dataDir: path.join(folder, 'state'), ipam: { dataDir: path.join(folder, 'leases') } },
      delegate: { hairpinMode: true, isDefaultGateway: false },
    };
    const options = { input: JSON.stringify(config), allowFailure: true };
    return first(lab).namespace.exec('env', [...words, PLUGIN], options);
  };
  const addressesOfBridge = (): Promise<string> =>
    ipOf(lab)('-br', 'addr', 'show', 'dev', 'cni0').catch(() => 'none');

  it('with a pod on it, it stays, and the warning says why no pod starts; without, it goes', async () => {
    const node = first(lab);
    const oldFile = path.join(folder, 'old.env');
    writeFileSync(oldFile, OLD_ENV);
    const old = await plugin('ADD', 'old', oldFile);
    assert.equal(old.code, 0, old.stdout);
    const warning = async () =>
      (await statusOf(node)).health.find(({ code }) => code === 'bridge-stale');
    const instead = async (): Promise<string> =>
      `the warning; ${JSON.stringify((await statusOf(node)).health)}\n${await addressesOfBridge()}\n${node.log}`;
    await until(instead, async () => (await warning()) !== undefined);
    assert.match(
      (await warning())?.text ?? '',
      /cni0 has 10\.244\.9\.0\/24 and fd00:244:0:9::\/64/,
    );
    const refused = await plugin('ADD', 'new', node.subnetFile);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stdout, /already has an IP address different from/);
    await plugin('DEL', 'new', node.subnetFile);
    assert.match(await addressesOfBridge(), /10\.244\.9\.1\/24/);
    assert.equal((await plugin('DEL', 'old', oldFile)).code, 0);
    await until('the bridge is gone', async () => (await addressesOfBridge()) === 'none');
    await until('the warning is over', async () => (await warning()) === undefined);
    const added = await plugin('ADD', 'new', node.subnetFile);
    assert.equal(added.code, 0, added.stdout);
    assert.doesNotMatch(await addressesOfBridge(), /10\.244\.9\.1/);
  });

  it("the node's own bridge stays through a restart, and one of the other subnet in one family goes", async () => {
    const node = first(lab);
    const before = await addressesOfBridge();
    await node.restart();
    assert.equal(await addressesOfBridge(), before);
    await plugin('DEL', 'new', node.subnetFile);
    assert.match(before, /fd00:244:/);
    await ipOf(lab)('addr', 'add', 'fd00:244:0:9::1/64', 'dev', 'cni0');
    await until('the bridge is gone', async () => (await addressesOfBridge()) === 'none');
    await until('it is said', () =>
      /cni0 has fd00:244:0:9::\/64, .*nothing was on it, it is removed/.test(node.log),
    );
  });
});
