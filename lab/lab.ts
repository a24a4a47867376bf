/** A whole lab from a description: underlay, nodes, a pod behind each, a shared file store. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastPathMode } from '../src/options/options.ts';
import { EXIT, WeftError } from '../src/shared/errors.ts';
import { projectRoot } from '../src/shared/root.ts';
import { requireCommands, requireRoot } from './command.ts';
import { EtcdServer } from './etcd.ts';
import {
  buildFabric,
  type FabricOptions,
  type Offloads,
  STORE_INDEX,
  UNDERLAY_DEVICE,
  underlayAddress,
} from './fabric.ts';
import { KernelNode, nodeSubnet } from './kernel-node.ts';
import type { NodeWish } from './kubernetes/admin.ts';
import { KubernetesBoard } from './kubernetes/board.ts';
import { ControlPlane } from './kubernetes/control-plane.ts';
import { EtcdBoard, FileBoard, type LeaseBoard } from './lease-board.ts';
import { KERNEL_BACKEND, leaseValue } from './lease-file.ts';
import { LabScope, type Namespace } from './namespace.ts';
import type { LabNode } from './node.ts';
import { Pod } from './pod.ts';
import { ping } from './traffic.ts';
import { WeftNode } from './weft-node.ts';

export interface LabDescription {
  nodes: readonly {
    kind: 'weft' | 'kernel' /** overrides of the lab's own */;
    workers?: number;
    offload?: string;
    /** variables of its weftd */
    environment?: Readonly<Record<string, string>>;
  }[];
  /** default vxlan; kernel nodes only there */
  backend?: BackendType;
  /** more keys of the config's Backend */
  backendOptions?: object;
  /** more keys of the network config */
  configOptions?: object;
  /**
   * file (default): a folder · etcd, kubernetes: a real etcd, or a real API server, in a namespace of its own, joined to the underlay's
   * bridge
   */
  store?: 'file' | 'etcd' | 'kubernetes';
  /** default [4] */
  families?: readonly (4 | 6)[];
  /** worker threads of each weftd; default is the daemon's own */
  workers?: number;
  /** --offload of each weftd */
  offload?: string;
  /** --source-check of each weftd */
  sourceCheck?: string;
  /** --fast-path of each weftd; default off: the workers are to see all packets */
  fastPath?: FastPathMode;
  /** further flags of each weftd */
  flags?: readonly string[];
  underlayOffloads?: Offloads;
  underlayMtu?: number;
  underlayShape?: FabricOptions['shape'];
  /** leases of nodes that don't exist, besides the lab's own: a large table; weft nodes only, default 0, at most 60,000 */
  extraPeers?: number;
  /** wait until every pod reaches every pod; default true */
  waitForPeers?: boolean;
}

export type BackendType = 'vxlan' | 'udp' | 'host-gw';

/** Where flannel keeps its keys. */
export const ETCD_PREFIX = '/coreos.com/network';

/** Says what is being done; for progress lines. */
export type OnStep = (text: string) => void;

/** A running lab. Close it, whatever happened. */
export class Lab {
  readonly scope: LabScope;
  readonly storeDir: string;
  readonly families: readonly (4 | 6)[];
  /** with store: 'etcd' */
  etcd: EtcdServer | undefined;
  /** with store: 'kubernetes'; node n1 is the Node n1 */
  controlPlane: ControlPlane | undefined;
  #board: LeaseBoard;
  #kubeconfig: string | undefined;
  readonly nodes: LabNode[] = [];
  /** pods[i] is behind nodes[i] */
  readonly pods: Pod[] = [];

  private constructor(scope: LabScope, families: readonly (4 | 6)[]) {
    this.scope = scope;
    this.families = families;
    this.storeDir = join(scope.tempDir, 'store');
    this.#board = new FileBoard(this.storeDir);
  }

  /** Builds everything and waits until all see all; takes everything down again when that fails. */
  static async build(description: LabDescription, onStep: OnStep = () => {}): Promise<Lab> {
    requireRoot();
    requireCommands();
    check(description);
    onStep('making namespaces');
    const lab = new Lab(await LabScope.open(), description.families ?? [4]);
    try {
      await lab.#setUp(description, onStep);
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  get weftNodes(): WeftNode[] {
    return this.nodes.filter((node) => node instanceof WeftNode);
  }

  get kernelNodes(): KernelNode[] {
    return this.nodes.filter((node) => node instanceof KernelNode);
  }

  /** The pod behind the i-th node, counted from 0. */
  pod(i: number): Pod {
    const pod = this.pods[i];
    if (!pod) throw new Error(`the lab has no pod ${i}`);
    return pod;
  }

  /** All ordered pairs of different pods. */
  pairs(): { from: Pod; to: Pod }[] {
    return pairsOf(this.pods);
  }

  /** Waits until every pod has an answer from every other, in every family. */
  async waitForPeers(timeoutMs = 60_000): Promise<void> {
    await waitForPeers(this.pods, this.families, timeoutMs, () => this.#logs());
  }

  /** The board on which leases lie. */
  get board(): LeaseBoard {
    return this.#board;
  }

  /** Takes the store's link down (a partition) or up again; not of files. */
  async linkStore(state: 'up' | 'down'): Promise<void> {
    const namespace = this.etcd?.options.namespace ?? this.controlPlane?.namespace;
    await namespace?.ip('link', 'set', UNDERLAY_DEVICE, state);
  }

  /** Takes everything down; throws when something stayed. */
  async close(): Promise<void> {
    const failures = await this.scope.close();
    if (failures.length > 0) throw new Error(`could not take down: ${failures.join('; ')}`);
  }

  async #setUp(description: LabDescription, onStep: OnStep): Promise<void> {
    const spaces = await Promise.all(
      description.nodes.map((_, i) => this.scope.namespace(`n${i + 1}`)),
    );
    const { store = 'file' } = description;
    const storeSpace = store === 'file' ? undefined : await this.scope.namespace(store.slice(0, 4));
    await buildFabric(this.scope, spaces, fabricOptions(description), storeSpace);
    if (storeSpace && store === 'etcd') await this.#startEtcd(storeSpace, onStep);
    if (storeSpace && store === 'kubernetes')
      await this.#startKubernetes(storeSpace, description, onStep);
    await this.#writeConfig(description);
    for (const [i, space] of spaces.entries())
      this.nodes.push(this.#makeNode(description, i, space));
    // Kernel nodes first: their leases are written by hand, daemons must see them when they choose.
    for (const node of this.kernelNodes) await this.#start(node, onStep);
    await Promise.all(this.weftNodes.map((node) => this.#start(node, onStep)));
    onStep('making pods');
    const pods = this.nodes.map((node) =>
      Pod.create(this.scope, node.name.replace('n', 'p'), node),
    );
    this.pods.push(...(await Promise.all(pods)));
    if (description.waitForPeers === false) return;
    onStep('waiting until every pod reaches every pod');
    await this.waitForPeers();
  }

  async #start(node: LabNode, onStep: OnStep): Promise<void> {
    onStep(`starting ${node.name} (${node.kind})`);
    if (node instanceof KernelNode)
      this.scope.cleanup.defer(`follower of ${node.name}`, () => node.stopFollowing());
    await node.start();
  }

  async #startEtcd(namespace: Namespace, onStep: OnStep): Promise<void> {
    onStep('starting etcd');
    requireCommands(['etcd', 'etcdctl']);
    const address = underlayAddress(STORE_INDEX).address4;
    const ports = { clientPort: 2379, peerPort: 2380 };
    this.etcd = new EtcdServer({ folder: this.storeDir, namespace, address, ...ports });
    await this.etcd.start();
    await this.etcd.waitUntilServing();
    this.#board = new EtcdBoard(this.etcd.ctl(), ETCD_PREFIX);
  }

  async #startKubernetes(
    namespace: Namespace,
    { nodes }: LabDescription,
    onStep: OnStep,
  ): Promise<void> {
    onStep('starting the API server of Kubernetes');
    const address = underlayAddress(STORE_INDEX).address4;
    const hasBoth = this.families.length > 1;
    const plane = await ControlPlane.create({
      folder: this.storeDir,
      network: { namespace, address },
      ...(hasBoth && { flags: ['--feature-gates=IPv6DualStack=true'] }),
    });
    this.controlPlane = plane;
    this.scope.cleanup.defer('API server', () => plane.close());
    const { admin } = plane;
    await admin.create(join(projectRoot(), 'deploy/kubernetes/rbac.yaml'));
    const tokenFile = join(this.storeDir, 'token');
    writeFileSync(tokenFile, await admin.token('kube-weft', 'weft'), { mode: 0o600 });
    this.#kubeconfig = plane.kubeconfig('weft', { tokenFile });
    for (const i of nodes.keys()) await admin.addNode(`n${i + 1}`, podCidrs(i + 1, this.families));
    this.#board = new KubernetesBoard(admin);
  }

  async #writeConfig(description: LabDescription): Promise<void> {
    const { backend = 'vxlan', extraPeers = 0, backendOptions, configOptions } = description;
    // Room for tens of thousands of subnets.
    const wide = extraPeers > 0 ? { Network: '10.128.0.0/9', SubnetLen: 25 } : {};
    const base = networkConfig(backend, this.families, backendOptions);
    const text = JSON.stringify({ ...base, ...wide, ...configOptions });
    if (this.etcd) return this.etcd.ctl().put(`${ETCD_PREFIX}/config`, text);
    mkdirSync(join(this.storeDir, 'subnets'), { recursive: true });
    writeFileSync(join(this.storeDir, 'config'), text);
    for (let i = 0; i < extraPeers; i++) writeAbsentPeer(this.storeDir, i);
  }

  #storeFlags(): string[] {
    if (this.#kubeconfig !== undefined)
      return [
        '--kube-subnet-mgr',
        `--kubeconfig-file=${this.#kubeconfig}`,
        `--net-config-path=${join(this.storeDir, 'config')}`,
      ];
    if (!this.etcd) return [`--store=file:${this.storeDir}`];
    return [`--etcd-endpoints=${this.etcd.endpoint}`];
  }

  #makeNode(
    description: LabDescription,
    i: number,
    space: ConstructorParameters<typeof WeftNode>[1],
  ): LabNode {
    const name = `n${i + 1}`;
    const { families } = this;
    const wanted = { ...description, ...description.nodes[i] };
    const mtu =
      description.underlayMtu === undefined ? {} : { underlayMtu: description.underlayMtu };
    if (wanted.kind === 'kernel') {
      return new KernelNode(name, space, underlayAddress(i + 1), {
        index: i + 1,
        board: this.#board,
        families,
        ...mtu,
      });
    }
    const { workers, offload, sourceCheck, fastPath, flags, extraPeers } = wanted;
    const ofNode = this.controlPlane ? { NODE_NAME: name } : undefined;
    const environment = description.nodes[i]?.environment ?? ofNode;
    return new WeftNode(name, space, underlayAddress(i + 1), {
      store: this.#storeFlags(),
      tempDir: this.scope.tempDir,
      ...(workers !== undefined && { workers }),
      ...(offload !== undefined && { offload }),
      ...(sourceCheck !== undefined && { sourceCheck }),
      ...(fastPath !== undefined && { fastPath }),
      ...(flags && { flags }),
      ...(environment && { environment }),
      ...(extraPeers && { startTimeoutMs: 90_000 }),
    });
  }

  #logs(): string {
    const tail = (node: WeftNode): string => node.log.trimEnd().split('\n').slice(-5).join('\n');
    const ofWeft = this.weftNodes.map(
      (node) => `\nlast lines of weftd on ${node.name}:\n${tail(node)}`,
    );
    const ofKernel = this.kernelNodes.map(
      ({ name, history }) => `\nwhat ${name} followed:\n${history.slice(-20).join('\n')}`,
    );
    return [...ofWeft, ...ofKernel].join('');
  }
}

/** The lease of a node that does not exist: the i-th /25 of the upper half, at an address of the benchmarking range (RFC 2544). */
function writeAbsentPeer(storeDir: string, i: number): void {
  const subnet = `10.${128 + ((i >> 9) & 127)}.${(i >> 1) & 255}.${(i & 1) * 128}`;
  const hex = (byte: number): string => (byte & 255).toString(16).padStart(2, '0');
  const value = leaseValue({
    publicIp: `198.18.${(i >> 8) & 255}.${i & 255}`,
    vtepMac: `02:00:00:00:${hex(i >> 8)}:${hex(i)}`,
  });
  writeFileSync(join(storeDir, 'subnets', `${subnet}-25`), value);
}

/** The subnets that a Node gets, those that a kernel node of this number writes by itself. */
export function podCidrs(index: number, families: readonly (4 | 6)[]): NodeWish {
  const podCIDRs = families.map((family) => nodeSubnet(index, family));
  return { podCIDR: podCIDRs[0] as string, podCIDRs };
}

/** The whole overlay, by family. */
export const NETWORKS = { 4: '10.244.0.0/16', 6: 'fd00:244::/48' } as const;

/** The network config that the lab puts into the store. */
export function networkConfig(
  backend: BackendType,
  families: readonly (4 | 6)[],
  backendOptions: object = {},
): object {
  return {
    ...(families.includes(4) ? { Network: NETWORKS[4] } : { EnableIPv4: false }),
    ...(families.includes(6) && { EnableIPv6: true, IPv6Network: NETWORKS[6] }),
    Backend: { Type: backend, ...backendOptions },
  };
}

function fabricOptions(description: LabDescription): FabricOptions {
  return {
    ...(description.underlayMtu !== undefined && { mtu: description.underlayMtu }),
    ...(description.underlayOffloads && { offloads: description.underlayOffloads }),
    ...(description.underlayShape && { shape: description.underlayShape }),
  };
}

function check(description: LabDescription): void {
  const kernel = description.nodes.some((node) => node.kind === 'kernel');
  if (kernel && (description.backend ?? 'vxlan') !== KERNEL_BACKEND) {
    throw new WeftError(
      'ERR_LAB',
      EXIT.usage,
      'a kernel VXLAN node takes part in a vxlan overlay only',
    );
  }
}

/** All ordered pairs of different pods. */
export function pairsOf(pods: readonly Pod[]): { from: Pod; to: Pod }[] {
  return pods.flatMap((from) => pods.filter((to) => to !== from).map((to) => ({ from, to })));
}

/** Waits until every pod has an answer from every other, in every family; `logs` explains why not. */
export async function waitForPeers(
  pods: readonly Pod[],
  families: readonly (4 | 6)[],
  timeoutMs: number,
  logs: () => string = () => '',
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  const waits = pods.map((from) => silentFor(from, pods, families, deadline));
  const silent = (await Promise.all(waits)).flat();
  if (silent.length === 0) return;
  throw new WeftError(
    'ERR_LAB_PEERS',
    EXIT.failure,
    `no answer in ${timeoutMs} ms: ${silent.join(', ')}${logs()}`,
  );
}

/** Whom a pod gets no answer from until then. It asks one after the other: a ping for every pair at once is a load of its own. */
async function silentFor(
  from: Pod,
  pods: readonly Pod[],
  families: readonly (4 | 6)[],
  deadline: number,
): Promise<string[]> {
  const silent: string[] = [];
  for (const to of pods) {
    if (to === from) continue;
    for (const family of families) {
      const text = await waitForAnswer(from, to, family, deadline);
      if (text !== undefined) silent.push(text);
    }
  }
  return silent;
}

async function waitForAnswer(
  from: Pod,
  to: Pod,
  family: 4 | 6,
  deadline: number,
): Promise<string | undefined> {
  do {
    const result = await ping(from, to, { family, count: 1, waitMs: 500 });
    if (result.received > 0) return undefined;
    await sleep(100);
  } while (Date.now() < deadline);
  return `${from.name} to ${to.name} (IPv${family})`;
}
