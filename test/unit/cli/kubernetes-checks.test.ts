/** The doctor's judgements on a node of a Kubernetes cluster, on given facts; with a real API server: test/kubernetes/commands.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding } from '../../../src/cli/doctor/check.ts';
import {
  judgeCniBridge,
  judgeCniConfig,
  judgeCniPlugins,
  judgeLeftOver,
} from '../../../src/cli/doctor/cni-checks.ts';
import { judgeBridgeNetfilter } from '../../../src/cli/doctor/host-checks.ts';
import {
  judgeAnnotations,
  judgeKubeProxy,
  judgeOtherCnis,
  judgePodCidr,
  judgeRights,
  judgeServices,
} from '../../../src/cli/doctor/kubernetes-checks.ts';
import { judgeDaemonsStore, judgeStore } from '../../../src/cli/doctor/store-checks.ts';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';
import type { CniNetwork } from '../../../src/host/cni-config.ts';
import { type Prefix, parseAddress, parsePrefix, type Words } from '../../../src/shared/address.ts';

const prefix = (text: string): Prefix => {
  const parsed = parsePrefix(text);
  assert.ok(parsed);
  return parsed;
};
const words = (text: string): Words => {
  const parsed = parseAddress(text);
  assert.ok(parsed);
  return parsed;
};
/** "status text → fix" */
const said = ({ status, text, fix }: Finding): string =>
  `${status} ${text}${fix === undefined ? '' : ` → ${fix}`}`;

const CONFIG = parseNetworkConfig('{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}');
const OWN = {
  ...{ server: 'https://10.0.0.1:6443', nodeName: 'n1', podCidrs: ['10.244.1.0/24'] },
  ...{ annotated: true, problem: '', forbidden: [] as string[] },
};

test('pod-cidr: inside, none, outside', () => {
  assert.match(said(judgePodCidr(OWN, CONFIG)), /^ok 10\.244\.1\.0\/24 of Node n1/);
  const none = said(judgePodCidr({ ...OWN, podCidrs: [] }, CONFIG));
  assert.match(none, /^fail Node n1 has no IPv4 podCIDR → .*--allocate-node-cidrs/);
  const outside = said(judgePodCidr({ ...OWN, podCidrs: ['10.10.1.0/24'] }, CONFIG));
  assert.match(outside, /^fail podCIDR 10\.10\.1\.0\/24 .* outside .* → .*--cluster-cidr the same/);
});

test('node-annotations: there, not yet, and why not', () => {
  assert.match(said(judgeAnnotations(OWN)), /^ok Node n1/);
  assert.match(said(judgeAnnotations({ ...OWN, annotated: false })), /^warn .*not annotated yet/);
  const bad = judgeAnnotations({ ...OWN, annotated: false, problem: 'somebody else writes them' });
  assert.match(said(bad), /^fail .*somebody else writes them → kubectl describe node n1/);
});

test('api-rights: what the server forbade', () => {
  assert.match(said(judgeRights([])), /^ok /);
  const call = 'PATCH /api/v1/nodes/n1/status';
  assert.match(
    said(judgeRights([call])),
    /^fail .*PATCH \/api\/v1\/nodes\/n1\/status → .*rbac\.yaml/,
  );
});

test('service-range: Services and the API server outside Network', () => {
  const networks = [prefix('10.244.0.0/16'), prefix('fd00::/48')];
  assert.match(said(judgeServices([], networks)), /^skipped /);
  assert.match(said(judgeServices([words('10.96.0.1')], networks)), /^ok 1 addresses/);
  const inside = judgeServices([words('10.96.0.1'), words('10.244.0.1')], networks);
  assert.match(said(inside), /^fail .*: 10\.244\.0\.1; .* → .*--service-cluster-ip-range/);
  assert.match(said(judgeServices([words('fd00::1')], networks)), /^fail /);
});

test('kube-proxy: absent, another clusterCIDR, no masquerading, its podCIDR or none of a family', () => {
  const proxy = {
    ...{ mode: 'iptables' as const, serviceAddresses: [], masquerades: true },
    clusterCidrs: [prefix('10.244.0.0/16')],
  };
  const own = [prefix('10.244.1.0/24')];
  assert.match(said(judgeKubeProxy({ ...proxy, mode: undefined }, own)), /^warn no rules/);
  assert.match(said(judgeKubeProxy(proxy, own)), /^ok iptables, clusterCIDR 10\.244\.0\.0\/16/);
  assert.match(said(judgeKubeProxy({ ...proxy, clusterCidrs: own }, own)), /^ok /);
  assert.match(said(judgeKubeProxy({ ...proxy, clusterCidrs: [] }, own)), /^ok iptables, masq/);
  assert.match(said(judgeKubeProxy(proxy, [...own, prefix('fd00:1::/64')])), /^ok /);
  const other = judgeKubeProxy({ ...proxy, clusterCidrs: [prefix('10.10.0.0/16')] }, own);
  assert.match(said(other), /^warn .*10\.10\.0\.0\/16.*10\.244\.1\.0\/24.* → .*clusterCIDR/);
  assert.match(said(judgeKubeProxy({ ...proxy, masquerades: false }, own)), /^warn .*masquerades/);
});

test('other-cni: who left what', () => {
  assert.match(said(judgeOtherCnis([])), /^ok /);
  const found = [{ name: 'Calico', left: ['device cali1', 'rules in iptables'] }];
  assert.match(
    said(judgeOtherCnis(found)),
    /^warn .*Calico \(device cali1, rules in iptables\) → /,
  );
});

test('br-netfilter: needed where there are Services', () => {
  assert.match(said(judgeBridgeNetfilter('1', true)), /^ok on/);
  assert.match(said(judgeBridgeNetfilter('0', true)), /^warn .* is 0.* → sysctl -w/);
  assert.match(said(judgeBridgeNetfilter(undefined, true)), /^warn .* → modprobe br_netfilter/);
  assert.match(said(judgeBridgeNetfilter(undefined, false)), /^ok off/);
});

test('cni-config: none, ours first, another one first, one that is not understood', () => {
  const ours = { file: '10-flannel.conflist', types: ['flannel', 'bridge'], bridge: undefined };
  const other: CniNetwork = { file: '05-x.conf', types: ['cilium-cni'], bridge: undefined };
  const broken: CniNetwork = { file: '00-x.conf', types: [], bridge: undefined };
  assert.match(said(judgeCniConfig(undefined)), /^fail no CNI configuration .* → copy/);
  assert.match(said(judgeCniConfig([])), /^fail no CNI configuration/);
  assert.match(said(judgeCniConfig([ours, other])), /^ok .*10-flannel\.conflist comes first/);
  assert.match(
    said(judgeCniConfig([other, ours])),
    /^fail .*05-x\.conf comes first, with cilium-cni.*10-flannel.* → remove \S*05-x\.conf/,
  );
  assert.match(said(judgeCniConfig([other])), /^fail .*none is weft's or flannel's/);
  assert.match(said(judgeCniConfig([broken, ours])), /^fail .*not understood/);
});

test('cni-plugins: which are missing', () => {
  assert.match(said(judgeCniPlugins(['flannel', 'bridge'], [])), /^ok flannel, bridge in/);
  assert.match(said(judgeCniPlugins(['flannel'], ['flannel'])), /^fail .*: flannel → install/);
});

test('cni-bridge: none, of this subnet, of another one with and without pods', () => {
  const bridge = { name: 'cni0', subnets: [prefix('10.244.3.0/24')], ports: ['veth1'] };
  assert.match(said(judgeCniBridge(undefined, [], '')), /^ok none yet/);
  assert.match(said(judgeCniBridge(bridge, [], '')), /^ok cni0 10\.244\.3\.0\/24, 1 device on it/);
  const stale = judgeCniBridge(bridge, ['10.244.3.0/24'], '10.244.4.0/24');
  assert.match(said(stale), /^fail .*every new pod fails → drain .*ip link delete cni0$/);
  const empty = judgeCniBridge({ ...bridge, ports: [] }, ['10.244.3.0/24'], '10.244.4.0/24');
  assert.match(said(empty), / → ip link delete cni0$/);
});

test('cni-addresses: how many are held for nobody', () => {
  const one = { network: 'cbr0', address: '10.244.1.2', container: 'c', heldAtMs: 0 };
  const held = Array.from({ length: 20 }, () => one);
  const judge = (count: number, doubt = '') =>
    said(judgeLeftOver({ held, left: held.slice(0, count), doubt }));
  assert.match(judge(0), /^ok 20 addresses held, 0 of them/);
  assert.match(judge(1), /^ok 20 addresses held, 1 of them/);
  assert.match(judge(5), /^warn .*5 of them .* → weft cni gc/);
  assert.match(judge(0, 'not seen'), /^skipped not seen/);
});

test("store-reachable: the daemon's word, and advice by kind", () => {
  const store = { name: 'kubernetes https://a', ok: true, message: '', lastEventAt: null };
  assert.match(said(judgeDaemonsStore(store)), /^ok kubernetes https:\/\/a answers the daemon/);
  const away = judgeDaemonsStore({ ...store, ok: false, message: 'no answer' });
  assert.match(said(away), /^fail .*no answer → check the API server/);
  assert.match(said(judgeStore({ error: 'x' }, 'kubernetes')), /→ check the API server/);
  assert.match(said(judgeStore({ error: 'x' }, 'file')), /→ make or mount/);
});
