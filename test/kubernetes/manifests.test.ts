/** What deploy/kubernetes has for a cluster, before a real API server: the manifest, the chart, and flannel's own manifest with weft's image. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseAllDocuments, parseDocument } from 'yaml';
import { run } from '../../lab/command.ts';
import { ControlPlane } from '../../lab/kubernetes/control-plane.ts';
import { kubernetesTool } from '../../lab/kubernetes/programs.ts';
import { networkConfigProblems, parseNetworkConfig } from '../../src/cluster/network-config.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { programVersion } from '../../src/shared/version.ts';
import { needs } from '../support/needs.ts';

const { after, before, describe, it } = needs('root');

const DEPLOY = path.join(projectRoot(), 'deploy/kubernetes');
const FLANNEL = path.join(projectRoot(), 'test/kubernetes/kube-flannel.yml');
const NAMESPACE = 'kube-weft';
const ACCOUNT = `system:serviceaccount:${NAMESPACE}:weft`;
const IMAGE = `weft:${programVersion()}`;

interface Mount {
  name: string;
  mountPath: string;
}

interface ContainerSpec {
  name: string;
  image: string;
  command?: string[];
  args?: string[];
  ports?: { name: string; containerPort: number }[];
  livenessProbe?: object;
  readinessProbe?: object;
  securityContext?: object;
  volumeMounts: Mount[];
}

interface PodSpec {
  initContainers: ContainerSpec[];
  containers: ContainerSpec[];
  volumes: { name: string; hostPath?: { path: string; type?: string } }[];
  nodeSelector?: object;
  tolerations?: object[];
  imagePullSecrets?: object[];
}

interface Manifest {
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: object;
    annotations?: object;
  };
  data?: Record<string, string>;
  rules?: { apiGroups: string[]; resources: string[]; verbs: string[] }[];
  spec?: {
    selector: { matchLabels: Record<string, string> };
    template: { metadata: { labels: object; annotations?: object }; spec: PodSpec };
  };
}

function parse(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS() as Manifest;
  });
}

const KEEPER = 'weft-keeper';

const fileOf = (name: string): string => readFileSync(path.join(DEPLOY, name), 'utf8');

/** The one of its kind; of DaemonSets the one beside which the keeper's is. */
function only(objects: readonly Manifest[], kind: string): Manifest {
  const all = objects.filter((each) => each.kind === kind);
  const found = all.length > 1 ? all.filter(({ metadata }) => metadata.name !== KEEPER) : all;
  assert.equal(found.length, 1, `one ${kind}`);
  return found[0] as Manifest;
}

function podOf(objects: readonly Manifest[]): PodSpec {
  const { spec } = only(objects, 'DaemonSet');
  assert.ok(spec);
  return spec.template.spec;
}

const daemonOf = (objects: readonly Manifest[]): ContainerSpec => {
  const [daemon] = podOf(objects).containers;
  assert.ok(daemon);
  return daemon;
};

const allContainers = ({ initContainers, containers }: PodSpec): ContainerSpec[] => [
  ...initContainers,
  ...containers,
];

function networkConfigOf(objects: readonly Manifest[]): string {
  return only(objects, 'ConfigMap').data?.['net-conf.json'] ?? '';
}

/** "nodes: get list watch", sorted. */
function rightsOf(objects: readonly Manifest[]): string[] {
  const rules = only(objects, 'ClusterRole').rules ?? [];
  return rules
    .flatMap(({ apiGroups, resources, verbs }) =>
      resources.map((name) => `${[...apiGroups, name].join('/')}: ${[...verbs].sort().join(' ')}`),
    )
    .sort();
}

/** Values as flannel's users give them, and the network config that comes of them. */
const VARIANTS: readonly (readonly [values: object, config: object])[] = [
  [{}, { Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } }],
  [
    { podCidr: '', podCidrv6: '2001:db8:42::/56' },
    {
      EnableIPv4: false,
      IPv6Network: '2001:db8:42::/56',
      EnableIPv6: true,
      Backend: { Type: 'vxlan' },
    },
  ],
  [
    {
      podCidr: '10.42.0.0/16',
      podCidrv6: '2001:db8:42::/56',
      flannel: {
        enableNFTables: true,
        backendPort: 4789,
        vni: 4096,
        GBP: true,
        directRouting: true,
        mtu: 1400,
        macPrefix: '0E-2A',
      },
    },
    {
      Network: '10.42.0.0/16',
      IPv6Network: '2001:db8:42::/56',
      EnableIPv6: true,
      EnableNFTables: true,
      Backend: {
        Type: 'vxlan',
        Port: 4789,
        VNI: 4096,
        GBP: true,
        DirectRouting: true,
        MTU: 1400,
        MacPrefix: '0E-2A',
      },
    },
  ],
  [
    { flannel: { backend: 'udp', backendPort: 8286, vni: 7 } },
    { Network: '10.244.0.0/16', Backend: { Type: 'udp', Port: 8286 } },
  ],
  [{ flannel: { backend: 'host-gw' } }, { Network: '10.244.0.0/16', Backend: { Type: 'host-gw' } }],
];

/** Of flannel's chart the mode is no JSON. */
const WIREGUARD: readonly [values: object, config: object] = [
  {
    flannel: {
      backend: 'wireguard',
      backendPort: 51821,
      backendPortv6: 51822,
      psk: 'c2VjcmV0',
      mtu: 1420,
      tunnelMode: 'separate',
      keepaliveInterval: 25,
    },
  },
  {
    Network: '10.244.0.0/16',
    Backend: {
      Type: 'wireguard',
      ListenPort: 51821,
      ListenPortV6: 51822,
      PSK: 'c2VjcmV0',
      MTU: 1420,
      Mode: 'separate',
      PersistentKeepaliveInterval: 25,
    },
  },
];

const OTHER_NODES = {
  global: { imagePullSecrets: [{ name: 'registry' }] },
  flannel: {
    image: { repository: 'registry.example/weft', tag: 1.5 },
    flannel_cni: { image: { repository: 'registry.example/flannel-cni-plugin', tag: 'v1' } },
    cniBinDir: '/usr/libexec/cni',
    cniConfDir: '/var/lib/rancher/k3s/agent/etc/cni/net.d',
    skipCNIConfigInstallation: true,
    args: ['--kube-subnet-mgr', '--iface=eth1'],
    resources: { limits: { memory: '1Gi' } },
    healthz: { port: 0 },
    tolerations: [],
    nodeSelector: { pool: 'edge' },
  },
};

describe('manifests', () => {
  let folder: string;
  let plane: ControlPlane;
  let kubectl: (words: readonly string[], input?: string) => ReturnType<typeof run>;
  let helm: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'weft-manifests-'));
    plane = await ControlPlane.create({ folder });
    // A dry run looks for the namespace that it does not make.
    await plane.admin.create(path.join(DEPLOY, 'rbac.yaml'));
    const metadata = { name: 'kube-flannel' };
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata };
    await plane.admin.call('POST', '/api/v1/namespaces', namespace);
    const program = await kubernetesTool('kubectl');
    helm = await kubernetesTool('helm');
    const config = path.join(folder, 'admin.kubeconfig');
    const who = [`--kubeconfig=${config}`, `--cache-dir=${path.join(folder, 'kubectl')}`];
    kubectl = (words, input = '') =>
      run(program, [...who, ...words], { input, allowFailure: true, timeoutMs: 60_000 });
  });
  after(async () => {
    await plane?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Throws with what the API server finds wrong; changes nothing. */
  async function dryRun(text: string): Promise<void> {
    const apply = ['apply', '--server-side', '--dry-run=server', '--force-conflicts', '-f', '-'];
    const { code, stderr } = await kubectl(apply, text);
    assert.equal(code, 0, stderr);
  }

  /** With values as a file of values, over those of the chart. */
  async function chart(values: object, namespace = NAMESPACE) {
    const words = ['template', 'weft', path.join(DEPLOY, 'chart'), '--namespace', namespace];
    const cache = ['HELM_CACHE_HOME', 'HELM_CONFIG_HOME', 'HELM_DATA_HOME'];
    const places = cache.map((name) => `${name}=${path.join(folder, 'helm')}`);
    const input = JSON.stringify(values);
    const options = { input, allowFailure: true, timeoutMs: 60_000 };
    return run('env', [...places, helm, ...words, '--values', '-'], options);
  }

  async function rendered(values: object): Promise<string> {
    const { code, stdout, stderr } = await chart(values);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  async function kustomized(): Promise<string> {
    const overlay = path.join(folder, 'kustomize');
    cpSync(path.join(DEPLOY, 'kustomize'), overlay, { recursive: true });
    cpSync(FLANNEL, path.join(overlay, 'kube-flannel.yml'));
    const { code, stdout, stderr } = await kubectl(['kustomize', overlay]);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  it('the API server takes the manifest', () => dryRun(fileOf('weft.yaml')));

  it('the API server refuses a field that it does not know, and a selector that selects others', async () => {
    const refused = async (from: string, to: string, why: RegExp): Promise<void> => {
      const text = fileOf('weft.yaml');
      assert.ok(text.includes(from));
      await assert.rejects(dryRun(text.replace(from, to)), why);
    };
    await refused('hostNetwork: true', 'hostNetwrk: true', /hostNetwrk/);
    await refused('path: /readyz', 'path: 5', /readinessProbe|path/);
    const labels = /`selector` does not match/;
    await refused(
      'matchLabels:\n      app.kubernetes.io/name: weft',
      'matchLabels:\n      a: b',
      labels,
    );
  });

  it('the rights are those of rbac.yaml, in the chart too, and the API server grants no others', async () => {
    const [own, part] = [parse(fileOf('weft.yaml')), parse(fileOf('rbac.yaml'))];
    assert.deepEqual(own.slice(0, part.length), part);
    const rights = [
      '/events: create patch',
      '/nodes/status: patch',
      '/nodes: get list watch',
      '/pods: get',
    ];
    assert.deepEqual(rightsOf(own), rights);
    assert.deepEqual(rightsOf(parse(await rendered({}))), rights);
    const may = async (...words: string[]): Promise<boolean> => {
      const all = ['auth', 'can-i', ...words, '--all-namespaces', `--as=${ACCOUNT}`];
      return (await kubectl(all)).stdout.trim() === 'yes';
    };
    assert.ok(await may('watch', 'nodes'));
    assert.ok(await may('patch', 'nodes', '--subresource=status'));
    for (const [verb, what] of [
      ['get', 'secrets'],
      ['list', 'pods'],
      ['patch', 'nodes'],
      ['delete', 'nodes'],
      ['create', 'pods'],
    ] as const)
      assert.ok(!(await may(verb, what)), `${verb} ${what}`);
  });

  it('the DaemonSet is not privileged: three capabilities, read-only root, one device', () => {
    const pod = podOf(parse(fileOf('weft.yaml')));
    for (const { name, securityContext } of allContainers(pod)) {
      const add = name === 'weft' ? ['NET_ADMIN', 'NET_RAW', 'BPF'] : ['DAC_OVERRIDE'];
      assert.deepEqual(
        { privileged: false, ...securityContext },
        {
          privileged: false,
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'], add },
        },
      );
    }
    const devices = pod.volumes.filter(({ hostPath }) => hostPath?.type === 'CharDevice');
    assert.deepEqual(
      devices.map(({ hostPath }) => hostPath?.path),
      ['/dev/net/tun'],
    );
  });

  it('the keeper has no rights and no capabilities, shares one folder with weft, and the API server takes it', async () => {
    await dryRun(fileOf('keeper.yaml'));
    const [pod, weft] = [fileOf('keeper.yaml'), fileOf('weft.yaml')].map((t) => podOf(parse(t)));
    assert.ok(pod && weft);
    const [keeper, ...others] = pod.containers;
    assert.deepEqual(others, []);
    assert.deepEqual(keeper?.securityContext, {
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    assert.deepEqual(
      pod.volumes,
      weft.volumes.filter(({ name }) => name === 'run-weft'),
    );
    const daemon = allContainers(weft).find(({ name }) => name === 'weft');
    const [program] = keeper?.command ?? [];
    assert.deepEqual(daemon?.command, [program, 'run', '--', '/opt/bin/flanneld']);
  });

  it('every volume is used, every mount has one', async () => {
    for (const text of [fileOf('weft.yaml'), await rendered({}), await rendered(OTHER_NODES)]) {
      const pod = podOf(parse(text));
      const used = allContainers(pod).flatMap(({ volumeMounts }) =>
        volumeMounts.map(({ name }) => name),
      );
      assert.deepEqual([...new Set(used)].sort(), pod.volumes.map(({ name }) => name).sort());
    }
  });

  it('the chart without values is the manifest', async () => {
    const nameOf = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.name}`;
    const withoutChart = (objects: Manifest[]): Manifest[] =>
      objects
        .filter(({ kind }) => kind !== 'Namespace')
        .map(({ metadata, spec, data, ...rest }) => {
          const { labels: _, ...own } = metadata;
          if (spec) delete spec.template.metadata.annotations;
          const configs = Object.values(data ?? {}).map((text) => JSON.parse(text));
          return { ...rest, metadata: own, spec, configs } as Manifest;
        })
        .sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
    const made = parse(await rendered({}));
    const labels = Object.keys(only(made, 'DaemonSet').metadata.labels ?? {});
    assert.ok(labels.includes('helm.sh/chart'));
    const files = ['weft.yaml', 'keeper.yaml'].flatMap((name) => parse(fileOf(name)));
    assert.deepEqual(withoutChart(made), withoutChart(files));
    const without = parse(await rendered({ keeper: { enabled: false } }));
    assert.deepEqual(withoutChart(without), withoutChart(parse(fileOf('weft.yaml'))));
  });

  it('KUB the chart takes the values of flannel: network config, and what weftd makes of it', async () => {
    for (const [values, config] of VARIANTS) {
      const text = await rendered(values);
      await dryRun(text);
      const made = networkConfigOf(parse(text));
      assert.deepEqual(JSON.parse(made), config);
      assert.deepEqual(networkConfigProblems(made), []);
      parseNetworkConfig(made);
    }
  });

  it('KUB A-33 wireguard: JSON, which weftd refuses in words', async () => {
    const [values, config] = WIREGUARD;
    const made = networkConfigOf(parse(await rendered(values)));
    assert.deepEqual(JSON.parse(made), config);
    assert.throws(() => parseNetworkConfig(made), /wireguard/);
  });

  it('KUB the chart takes the values of flannel: image, folders, arguments, probes, nodes', async () => {
    const text = await rendered(OTHER_NODES);
    await dryRun(text);
    const made = parse(text);
    const pod = podOf(made);
    assert.deepEqual(
      allContainers(pod).map(({ name, image }) => `${name} ${image}`),
      ['install-cni registry.example/weft:1.5', 'weft registry.example/weft:1.5'],
    );
    const daemon = daemonOf(made);
    assert.deepEqual(daemon.args, ['--kube-subnet-mgr', '--iface=eth1']);
    for (const part of ['ports', 'livenessProbe', 'readinessProbe'] as const)
      assert.equal(daemon[part], undefined, part);
    const paths = pod.volumes.map(({ hostPath }) => hostPath?.path);
    assert.ok(paths.includes('/usr/libexec/cni'));
    assert.ok(!paths.some((each) => each?.endsWith('net.d')));
    assert.deepEqual(pod.nodeSelector, { 'kubernetes.io/os': 'linux', pool: 'edge' });
    assert.equal(pod.tolerations, undefined);
    assert.deepEqual(pod.imagePullSecrets, [{ name: 'registry' }]);
    const { cniConfDir } = OTHER_NODES.flannel;
    const folders = podOf(parse(await rendered({ flannel: { cniConfDir } }))).volumes;
    assert.ok(folders.some(({ hostPath }) => hostPath?.path === cniConfDir));
    const other = daemonOf(parse(await rendered({ flannel: { healthz: { port: 9000 } } })));
    assert.ok(other.args?.includes('--healthz-port=9000'));
    assert.equal(other.ports?.[0]?.containerPort, 9000);
  });

  it('another network config is another pod', async () => {
    const checksum = async (values: object): Promise<string> =>
      JSON.stringify(
        only(parse(await rendered(values)), 'DaemonSet').spec?.template.metadata.annotations,
      );
    assert.notEqual(await checksum({}), await checksum({ podCidr: '10.42.0.0/16' }));
  });

  it('the chart refuses what it would have to ignore', async () => {
    for (const [values, why] of [
      [{ netpol: { enabled: true } }, /no controller of network policies/],
      [
        { flannel: { image: { repository: 'ghcr.io/flannel-io/flannel' } } },
        /flannel's own image \(ghcr\.io\/flannel-io\/flannel\): name weft's/,
      ],
      [{ podCidr: '' }, /podCidr and podCidrv6 are both empty/],
    ] as const) {
      const { code, stderr } = await chart(values);
      assert.notEqual(code, 0);
      assert.match(stderr, why);
    }
  });

  it("flannel's own manifest, with the image changed by kustomize", async () => {
    await dryRun(readFileSync(FLANNEL, 'utf8'));
    const text = await kustomized();
    await dryRun(text);
    assert.doesNotMatch(text, /image: (?!weft:)/);
    const [before, made] = [podOf(parse(readFileSync(FLANNEL, 'utf8'))), podOf(parse(text))];
    for (const container of allContainers(made)) {
      const { command, args, volumeMounts } =
        allContainers(before).find(({ name }) => name === container.name) ?? assert.fail();
      assert.equal(container.image, IMAGE);
      assert.deepEqual([container.command, container.args], [command, args]);
      const mounts = container.volumeMounts.map(({ mountPath }) => mountPath);
      assert.ok(volumeMounts.every(({ mountPath }) => mounts.includes(mountPath)));
    }
    const mounts = made.containers[0]?.volumeMounts.map(({ mountPath }) => mountPath) ?? [];
    for (const place of ['/dev/net/tun', '/run/weft', '/var/lib/weft'])
      assert.ok(mounts.includes(place), place);
  });

  it('one version everywhere', async () => {
    for (const text of [fileOf('weft.yaml'), await rendered({})])
      for (const { image } of allContainers(podOf(parse(text)))) assert.equal(image, IMAGE);
    const { version, appVersion } = parseDocument(fileOf('chart/Chart.yaml')).toJS();
    assert.deepEqual([version, appVersion], [programVersion(), programVersion()]);
  });

  it('the PodMonitor finds the pods and their port', () => {
    const { spec } = parseDocument(fileOf('pod-monitor.yaml')).toJS();
    const own = parse(fileOf('weft.yaml'));
    const labels = only(own, 'DaemonSet').spec?.template.metadata.labels;
    assert.deepEqual(spec.selector.matchLabels, labels);
    const ports = daemonOf(own).ports?.map(({ name }) => name);
    assert.deepEqual([spec.podMetricsEndpoints[0].port], ports);
  });
});
