/** weft cni gc with the real host-local plugin: a pod that runs, one that is gone, one that has just begun, and one that can't be seen. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { LabScope, type Namespace } from '../../lab/namespace.ts';
import { projectBinary } from '../../lab/root.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const HOST_LOCAL = '/usr/lib/cni/host-local';
const OLD = new Date(Date.now() - 3_600_000);

describe('netns: addresses that host-local holds', () => {
  let scope: LabScope;
  let networks: string;
  let subnetFile: string;
  let host: Namespace;
  let pod: Namespace;

  /** Gives an address to a container, as the bridge plugin has it done. */
  const add = async (container: string): Promise<string> => {
    const config = {
      ...{ cniVersion: '1.0.0', name: 'cbr0', type: 'bridge' },
      ipam: { type: 'host-local', dataDir: networks, ranges: [[{ subnet: '10.244.7.0/24' }]] },
    };
    const environment = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: container, CNI_IFNAME: 'eth0' };
    const child = spawn(HOST_LOCAL, {
      env: { ...environment, CNI_NETNS: '/none', CNI_PATH: '/usr/lib/cni' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.end(JSON.stringify(config));
    let text = '';
    for await (const part of child.stdout) text += part;
    const [, address] = /"address": "([\d.]+)/.exec(text) ?? [];
    assert.ok(address, text);
    return address;
  };
  const age = (address: string): void => utimesSync(path.join(networks, 'cbr0', address), OLD, OLD);
  const gc = (...words: string[]) =>
    host.exec(
      process.execPath,
      [
        ...[projectBinary('weft'), 'cni', 'gc', '--json', ...words],
        ...[`--data-dir=${networks}`, `--subnet-file=${subnetFile}`],
      ],
      { allowFailure: true },
    );
  const addresses = async (...words: string[]): Promise<string[]> => {
    const { leftOver } = JSON.parse((await gc(...words)).stdout);
    return leftOver.map(({ address }: { address: string }) => address);
  };
  const held = (): string[] =>
    readdirSync(path.join(networks, 'cbr0'))
      .filter((file) => /^\d/.test(file))
      .sort();

  before(async () => {
    scope = await LabScope.open();
    networks = path.join(scope.tempDir, 'networks');
    subnetFile = path.join(scope.tempDir, 'subnet.env');
    writeFileSync(subnetFile, 'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.7.1/24\n');
    host = await scope.namespace('h');
    pod = await scope.namespace('p');
    await host.ip(
      'link',
      'add',
      'veth0',
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      pod.name,
    );
  });
  after(async () => {
    await scope?.close();
  });

  it('is of no use without the folder or without a subnet, and says so', async () => {
    assert.deepEqual(await addresses(), []);
    const none = await host.exec(
      process.execPath,
      [projectBinary('weft'), 'cni', 'gc', '--subnet-file=/none/subnet.env'],
      { allowFailure: true },
    );
    assert.equal(none.code, 1);
    assert.match(none.stderr, /subnet\.env has no subnet.*--subnet-file/);
  });

  it('lists only what is old and in no namespace; without --delete nothing changes', async () => {
    const [running, gone, young] = [await add('running'), await add('gone'), await add('young')];
    await pod.ip('addr', 'add', `${running}/24`, 'dev', 'eth0');
    for (const address of [running, gone]) age(address);
    assert.deepEqual(await addresses(), [gone]);
    assert.deepEqual(held(), [running, gone, young].sort());
  });

  it('nothing is called left over while the other end of a veth is in a namespace that is not seen', async () => {
    const sleeper = spawn('unshare', ['--net', 'sleep', '60'], { stdio: 'ignore' });
    const hidden = async (): Promise<void> => {
      const command = ['link', 'add', 'veth1', 'type', 'veth', 'peer', 'name', 'eth0', 'netns'];
      await host.ip(...command, String(sleeper.pid));
    };
    const net = (pid: number | string | undefined) => readlinkSync(`/proc/${pid}/ns/net`);
    await until('in its own namespace', async () => net(sleeper.pid) !== net('self'));
    await hidden();
    // Its /proc shows this shell and what it starts only, as in a container of its own.
    const words = ['cni', 'gc', '--json', `--data-dir=${networks}`, `--subnet-file=${subnetFile}`];
    const args = ['--pid', '--fork', '--mount-proc', process.execPath, projectBinary('weft')];
    const inside = await host.exec('unshare', [...args, ...words], { allowFailure: true });
    sleeper.kill('SIGKILL');
    assert.equal(inside.code, 1, inside.stderr);
    const { leftOver, doubt } = JSON.parse(inside.stdout);
    assert.deepEqual(leftOver, []);
    assert.match(doubt, /veth1 .*network namespace that can't be seen/);
  });

  it('gives back what is left over, and host-local gives it to the next pod', async () => {
    const [gone] = await addresses('--delete');
    assert.ok(gone !== undefined && !held().includes(gone));
    assert.deepEqual(await addresses(), []);
    assert.equal(held().length, 2);
    writeFileSync(path.join(networks, 'cbr0', 'last_reserved_ip.0'), '10.244.7.2');
    assert.equal(await add('next'), gone);
  });
});
