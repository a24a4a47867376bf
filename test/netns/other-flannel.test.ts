/** Another flannel that is alive beside weftd: real daemons in namespaces, and programs that stand for flanneld by name and by what they do. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Lab } from '../../lab/lab.ts';
import type { LabProcess } from '../../lab/process.ts';
import { needs } from '../support/needs.ts';
import { addStockDevices, first, ipOf } from '../support/stock-flannel.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const WEFT = { kind: 'weft' } as const;

describe('netns: another flannel beside weftd', () => {
  let lab: Lab;
  let other: LabProcess;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, { kind: 'kernel' }] });
    await first(lab).stop();
  });
  after(() => lab?.close());

  /** A program of that name in a node's namespace: with `script` as its text. */
  async function start(name: string, script: string, node = 0): Promise<LabProcess> {
    const file = path.join(lab.scope.tempDir, name);
    writeFileSync(file, `#!/bin/bash\n${script}\n`, { mode: 0o755 });
    const started = lab.nodes[node]?.namespace.spawn(file, ['--etcd-prefix=/x']);
    assert.ok(started);
    await until('it runs', () => started.exit === undefined);
    return started;
  }
  const indexOfDevice = async (): Promise<string | undefined> =>
    /^(\d+): flannel\.1:/m.exec(await ipOf(lab)('link'))?.[1];
  /** The daemon's exit code and what it said. */
  const refused = async (): Promise<string> => {
    const said = first(lab).log.length;
    await assert.rejects(first(lab).start(), /exit code 78/);
    return first(lab).log.slice(said);
  };

  it('a flanneld that has the device: nothing is touched, the process is named, the exit code is final', async () => {
    await addStockDevices(lab);
    const index = await indexOfDevice();
    other = await start('flanneld', 'while :; do sleep 0.1; done');
    const said = await refused();
    assert.match(said, new RegExp(`process ${other.pid} .*flanneld --etcd-prefix=/x`));
    assert.equal(await indexOfDevice(), index);
    await other.stop();
  });

  it("one in another node's namespace is none of ours: the device that a stopped flannel left is taken over", async () => {
    const far = await start('flanneld', 'while :; do sleep 0.1; done', 1);
    await first(lab).start();
    assert.match(first(lab).log, /took over its MAC/);
    await lab.waitForPeers();
    await first(lab).stop();
    await far.stop();
  });

  it('an owner that is not to be seen makes the device again: it is left, and the next start does not touch it', async () => {
    await addStockDevices(lab);
    const device = 'flannel.1 address 02:aa:00:00:00:01 type vxlan id 1 dev eth0 dstport 8472';
    const again = `ip link show flannel.1 >/dev/null 2>&1 || ip link add ${device}`;
    other = await start('unseen', `while :; do ${again}; sleep 0.05; done`);
    const said = await refused();
    assert.match(said, /flannel\.1 was made again by somebody else/);
    const index = await indexOfDevice();
    assert.ok(index);
    await refused();
    assert.equal(await indexOfDevice(), index, 'the second start touched nothing');
    await other.stop();
    await ipOf(lab)('link', 'delete', 'flannel.1');
    await first(lab).start();
    await lab.waitForPeers();
  });
});
