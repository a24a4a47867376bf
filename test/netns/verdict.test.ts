/** Whatever keeps pods from pods breaks the verdict: status, exit code, metrics. What does not, does not. */
import assert from 'node:assert/strict';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from '../../lab/command.ts';
import { Lab } from '../../lab/lab.ts';
import { leaseValue } from '../../lab/lease-file.ts';
import { projectBinary } from '../../lab/root.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { parseExposition } from '../support/exposition.ts';
import { needs } from '../support/needs.ts';
import { healthPage, statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const PORT = 8081;

describe('netns: the verdict of a node in a lab of three', () => {
  let lab: Lab;
  const node = (number: number): WeftNode => lab.weftNodes[number - 1] as WeftNode;

  before(async () => {
    const weft = { kind: 'weft' } as const;
    lab = await Lab.build({ nodes: [weft, weft, weft], flags: [`--healthz-port=${PORT}`] });
    // "healthy" alone also holds while a peer has not been heard yet: then it would never have answered
    await verdictIs(/^● healthy[\s\S]*peers {5}2\/2 up/, 0);
  });
  after(() => lab?.close());

  const status = () =>
    run(
      process.execPath,
      [projectBinary('weft'), 'status', `--admin-socket=${node(1).adminSocket}`],
      {
        allowFailure: true,
      },
    );

  async function verdictIs(wanted: RegExp, exitCode: number): Promise<string> {
    let seen = '';
    let code: number | undefined;
    await until(`${wanted}`, async () => {
      ({ stdout: seen, code } = await status());
      return wanted.test(seen);
    }).catch((error: unknown) => assert.fail(`${error}\n${seen}`));
    assert.equal(code, exitCode);
    return seen;
  }

  const codes = async (): Promise<string[]> =>
    (await statusOf(node(1))).health.map(({ code }) => code);
  const metric = async (name: string): Promise<number | undefined> => {
    const { body } = await healthPage(node(1), PORT, '/metrics');
    return parseExposition(body).find((sample) => sample.name === name)?.value;
  };
  const leaseFile = (key: string): string => path.join(lab.storeDir, 'subnets', key);

  it('a peer behind a firewall that drops its UDP port', async () => {
    const table =
      'add table inet cut; add chain inet cut in { type filter hook input priority 0; }';
    await node(3).namespace.exec('nft', [`${table}; add rule inet cut in udp dport 8472 drop`]);
    const text = await verdictIs(/^! DEGRADED: 1 of 2 peers unreachable/, 1);
    assert.match(text, /10\.99\.0\.3 \(10\.244\.\d+\.0\/24\) has not answered for \d+ s/);
    assert.match(text, /peers {5}1\/2 up.*1 unreachable/);
    assert.deepEqual(await codes(), ['peers-unreachable']);
    const { healthy, reach } = await statusOf(node(1));
    assert.deepEqual([healthy, reach?.reachable, reach?.unreachable], [false, 1, 1]);
    assert.equal(await metric('weft_peers_reachable'), 1);
    assert.equal(await metric('weft_peers_unreachable'), 1);
    assert.equal(await metric('weft_healthy'), 0);
    assert.equal((await healthPage(node(1), PORT, '/readyz')).status, 200, 'it takes part');
    await node(3).namespace.exec('nft', ['delete table inet cut']);
    await verdictIs(/^● healthy/, 0);
  });

  it('a peer whose daemon was killed; when its lease goes it is no longer a peer', async () => {
    const { lease } = await statusOf(node(2));
    await node(2).kill();
    await verdictIs(/^! DEGRADED: 1 of 2 peers unreachable/, 1);
    rmSync(leaseFile(lease.key));
    await verdictIs(/^● healthy[\s\S]*peers {5}1\/1 up/, 0);
    await node(2).start();
    await verdictIs(/^● healthy[\s\S]*peers {5}2\/2 up/, 0);
  });

  it('IP forwarding that somebody switched off', async () => {
    await node(1).namespace.sysctl({ 'net/ipv4/ip_forward': 0 });
    await verdictIs(/^✗ NOT HEALTHY: IP forwarding is off/, 1);
    assert.deepEqual(await codes(), ['forwarding-off']);
    await node(1).namespace.sysctl({ 'net/ipv4/ip_forward': 1 });
    await verdictIs(/^● healthy/, 0);
  });

  it('forwarding that is off for our device alone', async () => {
    await node(1).namespace.sysctl({ 'net/ipv4/conf/flannel.1/forwarding': 0 });
    const text = await verdictIs(/^✗ NOT HEALTHY: IP forwarding is off/, 1);
    assert.match(text, /net\/ipv4\/conf\/flannel\.1\/forwarding=0/);
    await node(1).namespace.sysctl({ 'net/ipv4/conf/flannel.1/forwarding': 1 });
    await verdictIs(/^● healthy/, 0);
  });

  it('a lease that this node can not use', async () => {
    const file = leaseFile('10.244.255.0-24');
    writeFileSync(file, '{"PublicIP":"10.99.0.77","BackendType":"host-gw"}');
    const text = await verdictIs(/^! DEGRADED: 1 lease can't be used/, 1);
    assert.match(text, /10\.244\.255\.0-24: backend type/);
    assert.equal(await metric('weft_leases_skipped'), 1);
    rmSync(file);
    await verdictIs(/^● healthy/, 0);
  });

  it('another lease with our own public address', async () => {
    const file = leaseFile('10.244.255.0-24');
    const { node: own } = await statusOf(node(1));
    const publicIp = own.publicIp as string;
    writeFileSync(file, leaseValue({ publicIp, vtepMac: '02:00:00:00:00:77' }));
    const text = await verdictIs(/^✗ NOT HEALTHY: Another lease has our public address/, 1);
    assert.match(text, /10\.244\.255\.0-24: its node is not a peer/);
    assert.deepEqual(await codes(), ['address-taken']);
    rmSync(file);
    await verdictIs(/^● healthy/, 0);
  });

  it('an unavailable store is a warning: forwarding goes on', async () => {
    renameSync(lab.storeDir, `${lab.storeDir}.away`);
    await verdictIs(/^! healthy, 1 warning/, 0);
    assert.deepEqual(await codes(), ['store-away']);
    renameSync(`${lab.storeDir}.away`, lab.storeDir);
    await verdictIs(/^● healthy/, 0);
  });
});
