/** What the commands say of a Kubernetes cluster: a real API server, two weft nodes, and a stock one that was annotated by hand. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { PREFIX } from '../../lab/kubernetes/board.ts';
import { Lab } from '../../lab/lab.ts';
import { addressInSubnet } from '../../lab/node.ts';
import { projectBinary } from '../../lab/root.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const ROLE = '/apis/rbac.authorization.k8s.io/v1/clusterroles/weft';
/** As kube-proxy writes them, with a Service inside Network, and with another clusterCIDR. */
const PROXY_RULES = `*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-NPX46M4PTMTKRN6Y - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
-A KUBE-SERVICES -d 10.244.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y
-A KUBE-SVC-NPX46M4PTMTKRN6Y ! -s 10.10.0.0/16 -d 10.244.0.1/32 -p tcp -m tcp --dport 443 -j KUBE-MARK-MASQ
COMMIT
`;

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

  /** "status text → fix" by id */
  const doctor = async (...words: string[]): Promise<(id: string) => string> => {
    const { checks } = JSON.parse(await said('doctor', '--json', ...words));
    return (id) => {
      const { status, text, fix } = checks.find((each: { id: string }) => each.id === id);
      return `${status} ${text}${fix === null ? '' : ` → ${fix}`}`;
    };
  };

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

  it('doctor: all of Kubernetes is well, then kube-proxy, Services and the bridge are not', async () => {
    const { namespace } = node(0);
    const well = await doctor();
    assert.match(well('store-reachable'), /^ok kubernetes https:\/\/\S+ answers in /);
    assert.match(well('pod-cidr'), /^ok 10\.244\.\d+\.0\/24 of Node n1/);
    assert.match(well('node-annotations'), /^ok Node n1/);
    assert.match(well('api-rights'), /^ok /);
    assert.match(well('service-range'), /^ok /);
    assert.match(well('kube-proxy'), /^warn no rules of kube-proxy/);
    assert.match(well('cni-bridge'), /^ok none yet/);
    await namespace.exec('iptables-restore', ['--noflush'], { input: PROXY_RULES });
    const { stdout: version } = await namespace.exec('iptables-save', ['-t', 'nat']);
    assert.match(version, /KUBE-SERVICES -d 10\.244\.0\.1\/32/);
    await namespace.ip('link', 'add', 'cni0', 'type', 'bridge');
    // With a pod on it: an empty one is removed by the daemon.
    await namespace.ip('link', 'add', 'veth99', 'master', 'cni0', 'type', 'veth');
    await namespace.ip('addr', 'add', '10.244.99.1/24', 'dev', 'cni0');
    const bad = await doctor();
    assert.match(bad('service-range'), /^fail .*10\.244\.0\.1.* → .*--service-cluster-ip-range/);
    assert.match(bad('kube-proxy'), /^warn kube-proxy \(iptables\) takes 10\.10\.0\.0\/16/);
    assert.match(
      bad('cni-bridge'),
      /^fail cni0 has 10\.244\.99\.0\/24.* → drain this node .*: ip link delete cni0$/,
    );
    await namespace.ip('link', 'del', 'veth99');
    await namespace.ip('link', 'del', 'cni0').catch(() => undefined); // the daemon may have been faster
  });

  it('what the API server forbids is in the status and in the doctor, until it allows it', async () => {
    interface Role {
      rules: { resources: string[] }[];
    }
    const { call } = plane().admin;
    const admin = call.bind(plane().admin) as typeof call;
    const role = await admin<Role>('GET', ROLE);
    const rules = role.rules.filter(({ resources }) => !resources.includes('nodes/status'));
    await admin('PUT', ROLE, { ...role, metadata: { name: 'weft' }, rules });
    const annotations = { [`${PREFIX}backend-type`]: null };
    await plane().admin.patchNode('n1', { metadata: { annotations } });
    const text =
      /^own Node .*NOT ANNOTATED: .*403.*FORBIDDEN: PATCH \/api\/v1\/nodes\/n1\/status$/m;
    await until('forbidden', async () => text.test(await said('status')));
    const bad = await doctor('--only=api-rights,node-annotations');
    assert.match(bad('api-rights'), /^fail .*PATCH \/api\/v1\/nodes\/n1\/status.* → .*rbac\.yaml/);
    assert.match(bad('node-annotations'), /^fail .*can't be written yet/);
    await admin('PUT', ROLE, { ...role, metadata: { name: 'weft' } });
    await until('allowed', async () => /^own Node .*, annotated$/m.test(await said('status')));
    const well = await doctor('--only=api-rights,node-annotations');
    assert.match(well('api-rights'), /^ok /);
  });

  it('bugreport: the own Node without what others wrote on it', async () => {
    const annotations = { 'example.org/token': 'sesame-open' };
    await plane().admin.patchNode('n1', { metadata: { annotations } });
    const file = path.join(folder, 'report.tar.gz');
    const { code, stderr } = await weft('bugreport', `--output=${file}`);
    assert.equal(code, 0, stderr);
    const { stdout } = await node(0).namespace.exec('tar', [
      ...['-xzOf', file, 'weft-bugreport/daemon/kubernetes.json'],
    ]);
    const { node: found } = JSON.parse(stdout);
    assert.equal(found.metadata.name, 'n1');
    assert.equal(found.metadata.annotations[`${PREFIX}public-ip`], '10.99.0.1');
    assert.match(found.spec.podCIDR, /^10\.244\./);
    assert.ok(Array.isArray(found.status.conditions));
    assert.doesNotMatch(stdout, /sesame|example\.org|managedFields/);
  });
});
