/** A node of a cluster: a machine of its own with containerd, kubelet and kube-proxy; what runs on it says the API server. */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { endCgroups, makeCgroup } from '../cgroup.ts';
import { STORE_INDEX, UNDERLAY_DEVICE, type UnderlayAddress, underlayAddress } from '../fabric.ts';
import type { LabScope, Namespace } from '../namespace.ts';
import type { LabNode, NodeNetwork } from '../node.ts';
import type { LabProcess } from '../process.ts';
import { parseSubnetFile } from '../weft-node.ts';
import { PAUSE_IMAGE } from './cluster-image.ts';
import { Containerd } from './containerd.ts';
import type { ControlPlane } from './control-plane.ts';
import { MachineSpace } from './machine-space.ts';
import { kubernetesProgram } from './programs.ts';

/** A kubelet looks for the credentials of a cloud at a fixed address: not from here. */
const NO_CLOUD = {
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_ACCESS_KEY_ID: 'none',
  AWS_SECRET_ACCESS_KEY: 'none',
};
/** What a distribution installs beside every kubelet. */
const STANDARD_PLUGINS = ['bridge', 'host-local', 'portmap', 'loopback'];
const DEBIAN_PLUGINS = '/usr/lib/cni';

/** What a reboot clears besides devices. */
const CLEAR = `
rm -rf /run/flannel/* /run/weft/* /run/netns/*
for table in nat filter mangle; do iptables -t $table -F; iptables -t $table -X; done
ip route flush proto 80; ip route flush type blackhole; true
`;

export interface KubeletNodeOptions {
  scope: LabScope;
  plane: ControlPlane;
  /** archive with the images of all pods */
  images: Promise<string>;
}

export class KubeletNode implements LabNode {
  readonly name: string;
  readonly kind = 'weft';
  readonly namespace: Namespace;
  readonly underlay: UnderlayAddress;
  private readonly options: KubeletNodeOptions;
  private machine: MachineSpace | undefined;
  private runtime: Containerd | undefined;
  private readonly processes: LabProcess[] = [];

  constructor(
    name: string,
    namespace: Namespace,
    underlay: UnderlayAddress,
    options: KubeletNodeOptions,
  ) {
    this.name = name;
    this.namespace = namespace;
    this.underlay = underlay;
    this.options = options;
  }

  get folder(): string {
    return join(this.options.scope.tempDir, this.name);
  }

  get space(): MachineSpace {
    if (!this.machine) throw new Error(`${this.name} has not started`);
    return this.machine;
  }

  get containerd(): Containerd {
    if (!this.runtime) throw new Error(`${this.name} has not started`);
    return this.runtime;
  }

  get cgroup(): string {
    return this.namespace.name;
  }

  /** What weftd wrote; throws before it did. */
  get network(): NodeNetwork {
    return parseSubnetFile(readFileSync(this.space.path('/run/flannel/subnet.env'), 'utf8'));
  }

  /** The runtime with its images, then the kubelet, which registers the Node; both find no network yet. */
  async start(): Promise<void> {
    const { scope, images } = this.options;
    await this.namespace.sysctl({ 'net/ipv4/ip_forward': 1 });
    // What goes to a Service's address is routed before kube-proxy's rules turn it elsewhere.
    const gateway = underlayAddress(STORE_INDEX).address4;
    await this.namespace.ip('route', 'add', 'default', 'via', gateway);
    this.machine = await MachineSpace.create(scope, this.namespace, join(this.folder, 'machine'));
    this.installPlugins();
    this.runtime = new Containerd(this.machine, join(this.folder, 'containerd'));
    await this.runtime.start();
    await this.runtime.importImages(await images);
    await this.startKubelet();
    await this.startProxy();
  }

  /** As when the power fails: nothing ends in order. What a reboot would clear stays until then. */
  async stop(): Promise<void> {
    for (const process of this.processes.splice(0)) await process.kill();
    await this.containerd.kill();
    await endCgroups(this.cgroup);
  }

  /** After a stop: disks are as they were, devices, rules and everything in /run are gone. */
  async boot(): Promise<void> {
    const { stdout } = await this.namespace.ip('-o', 'link', 'show');
    const devices = [...stdout.matchAll(/^\d+: ([^:@]+)/gm)].map(([, name]) => name as string);
    for (const name of devices.filter((each) => each !== 'lo' && each !== UNDERLAY_DEVICE))
      await this.namespace.ip('link', 'delete', name).catch(() => undefined); // a pair goes at once
    await this.space.exec('sh', ['-c', CLEAR]);
    await this.containerd.start();
    await this.startKubelet();
    await this.startProxy();
  }

  /** Process id of a container's first process, seen from outside. */
  async pidOf(podUid: string, containerName: string): Promise<number> {
    const running = await this.containerd.running();
    const found = running.find(
      ({ labels }) =>
        labels['io.kubernetes.pod.uid'] === podUid &&
        labels['io.kubernetes.container.name'] === containerName,
    );
    if (!found) throw new Error(`no container ${containerName} runs on ${this.name}`);
    return found.pid;
  }

  private installPlugins(): void {
    for (const name of STANDARD_PLUGINS)
      cpSync(join(DEBIAN_PLUGINS, name), this.space.path(join('/opt/cni/bin', name)));
  }

  private async startKubelet(): Promise<void> {
    const { plane } = this.options;
    makeCgroup(this.cgroup);
    const address = this.underlay.address4;
    const certificate = await plane.authority.issue(`system:node:${this.name}`, address, {
      organization: 'system:nodes',
    });
    const config = this.write(
      'kubelet.json',
      kubeletConfig(this.cgroup, address, plane.authority.caFile),
    );
    const flags = [
      `--config=${config}`,
      `--kubeconfig=${plane.kubeconfig(this.name, { certificate })}`,
      `--hostname-override=${this.name}`,
      `--node-ip=${address}`,
      '--container-runtime=remote',
      `--container-runtime-endpoint=unix://${this.containerd.socket}`,
      '--network-plugin=cni',
      '--root-dir=/var/lib/kubelet',
      `--cert-dir=${join(this.folder, 'pki')}`,
      `--pod-infra-container-image=${PAUSE_IMAGE}`,
    ];
    await this.spawn('kubelet', flags);
  }

  private async startProxy(): Promise<void> {
    const { plane } = this.options;
    const certificate = await plane.authority.issue('system:kube-proxy');
    const kubeconfig = plane.kubeconfig(`${this.name}-proxy`, { certificate });
    const config = this.write('kube-proxy.json', proxyConfig(this.name, kubeconfig));
    await this.spawn('kube-proxy', [`--config=${config}`]);
  }

  private async spawn(component: string, flags: readonly string[]): Promise<void> {
    const logFile = join(this.folder, `${component}.log`);
    const program = await kubernetesProgram(component);
    this.processes.push(this.space.spawn(program, flags, { logFile, environment: NO_CLOUD }));
  }

  private write(name: string, config: object): string {
    const file = join(this.folder, name);
    mkdirSync(this.folder, { recursive: true });
    writeFileSync(file, JSON.stringify(config));
    return file;
  }
}

function kubeletConfig(cgroup: string, address: string, clientCAFile: string): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile },
    },
    authorization: { mode: 'Webhook' },
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroup}`,
    enforceNodeAllocatable: [],
    oomScoreAdj: 0,
    failSwapOn: false,
    address,
    healthzBindAddress: '127.0.0.1',
    readOnlyPort: 0,
    clusterDNS: ['10.96.0.10'],
    clusterDomain: 'cluster.local',
    resolvConf: existsSync('/etc/resolv.conf') ? '/etc/resolv.conf' : '',
    // The machine's disk is not the lab's business.
    evictionHard: {
      'memory.available': '50Mi',
      'nodefs.available': '1%',
      'imagefs.available': '1%',
    },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    syncFrequency: '5s',
    nodeStatusUpdateFrequency: '3s',
  };
}

function proxyConfig(node: string, kubeconfig: string): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig },
    hostnameOverride: node,
    mode: 'iptables',
    clusterCIDR: '10.244.0.0/16',
    healthzBindAddress: '127.0.0.1:10256',
    metricsBindAddress: '127.0.0.1:10249',
    conntrack: { maxPerCore: 0, min: 0 },
    oomScoreAdj: 0,
  };
}
