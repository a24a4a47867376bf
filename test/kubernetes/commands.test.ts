/** What the commands say of a Kubernetes cluster: a real API server, two weft nodes, and a stock one that was annotated by hand. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Lab } from '../../lab/lab.ts';
import { addressInSubnet } from '../../lab/node.ts';
import { projectBinary } from '../../lab/root.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const PREFIX = 'flannel.alpha.coreos.com/';

describe('netns: commands in a Kubernetes cluster', () => {
  let lab: Lab;
  const folder = mkdtempSync(path.join(os.tmpdir(), 'weft-commands-'));
  const node = (i: number): WeftNode => lab.weftNodes[i] as WeftNode;
  const plane = () => {
    assert.ok(lab.controlPlane);
    return lab.controlPlane;
  };
  /** On the first node. */
  const weft = async (...words: string[]) => {
    const { namespace, adminSocket } = node(0);
    const args = [projectBinary('weft'), ...words, `--admin-socket=${adminSocket}`];
    return namespace.exec(process.execPath, args, { allowFailure: true, timeoutMs: 60_000 });
  };
  const said = async (...words: string[]): Promise<string> => (await weft(...words)).stdout;

  before(async () => {
    lab = await Lab.build({
      nodes: [{ kind: 'weft' }, { kind: 'weft' }, { kind: 'kernel' }],
      store: 'kubernetes',
    });
    await lab.waitForPeers();
  });
  after(async () => {
    await lab?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('status: the API server, the own Node, its podCIDR, and that it is annotated', async () => {
    const text = await said('status');
    assert.match(text, /^store {5}kubernetes https:\/\/\S+ {2}ok/m);
    const [, podCidr = ''] = /^own Node {2}n1, podCIDR (\S+), annotated$/m.exec(text) ?? [];
    assert.match(podCidr, /^10\.244\.\d+\.0\/24$/, text);
    assert.ok(text.includes(`lease     ${podCidr}  held, as long as the Node exists`), text);
  });

  it('names of nodes: peers, ping by name, ping --all, topology, routes get', async () => {
    assert.match(await said('peers'), /^NAME .*\nn[23] .*\nn[23] /);
    const { code, stdout } = await weft('ping', 'n2', '-c', '1');
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^PING \S+ on node n2 \(10\.99\.0\.2\)/);
    assert.match(await said('ping', '--all'), /^n3 +n3 +10\.99\.0\.3 .*no weftd answers there/m);
    assert.match(await said('topology'), /^[├└]─ n3 +n3 +10\.99\.0\.3 /m);
    const pod = node(1).network.subnet4;
    assert.ok(pod);
    assert.match(await said('routes', 'get', addressInSubnet(pod, 5)), /of n2 \(10\.99\.0\.2\)/);
  });

  it('cluster check: all nodes, versions where weft runs, exit code 1 when one is cut off', async () => {
    const well = await weft('cluster', 'check');
    assert.equal(well.code, 0, well.stdout);
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    const answer = JSON.parse(await said('cluster', 'check', '--json'));
    const rows = answer.nodes.map((each: Record<string, unknown>) =>
      ['nodeName', 'version', 'backend', 'largest', 'state'].map((key) => each[key]),
    );
    assert.deepEqual(rows, [
      ['n1', version, 'vxlan', null, 'ok'],
      ['n2', version, 'vxlan', true, 'ok'],
      ['n3', null, 'vxlan', true, 'ok'],
    ]);
    const rules =
      'table ip cut { chain in { type filter hook prerouting priority raw; udp dport 8472 drop; }; }';
    await node(1).namespace.exec('nft', [rules]);
    await until('cut', async () => {
      const cut = await weft('cluster', 'check');
      return cut.code === 1 && /^n2 .*UNREACHABLE$/m.test(cut.stdout);
    });
    await node(1).namespace.exec('nft', ['delete', 'table', 'ip', 'cut']);
    await until('well', async () => (await weft('cluster', 'check')).code === 0);
  });

  it('a peer that can not be used is a row of its own, with the reason', async () => {
    await plane().admin.patchNode('n3', {
      metadata: { annotations: { [`${PREFIX}backend-type`]: 'host-gw' } },
    });
    await until('listed', async () =>
      /^n3 .*NOT USED: .*host-gw/m.test(await said('cluster', 'check')),
    );
    await plane().admin.patchNode('n3', {
      metadata: { annotations: { [`${PREFIX}backend-type`]: 'vxlan' } },
    });
    await until('well', async () => (await weft('cluster', 'check')).code === 0);
  });
});
