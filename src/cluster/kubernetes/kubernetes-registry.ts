/**
 * The registry of a Kubernetes cluster (flannel pkg/subnet/kube): the cluster gives each Node a subnet (`spec.podCIDRs`), and what peers
 * must know stands in annotations beside it. Nothing is allocated here and nothing expires. Keys are the names of Nodes.
 */
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import { formatPrefix, holdsPrefix } from '../../shared/address.ts';
import type { Clock } from '../../shared/clock.ts';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { printable } from '../../shared/printable.ts';
import type { PlainLog } from '../../shared/repeats.ts';
import type { LeaseSubnets } from '../lease/lease.ts';
import type { NetworkConfig } from '../network-config.ts';
import type {
  HeldLease,
  JoinWish,
  LeaseList,
  MemoryPolicy,
  Notice,
  OwnBefore,
  OwnObject,
  Registry,
} from '../registry.ts';
import { type Found, WatchedLeases } from '../watched-leases.ts';
import {
  type AnnotationNames,
  type Annotations,
  annotationNames,
  chosenAddresses,
  decodeAnnotations,
  isManaged,
} from './annotations.ts';
import { KubernetesClient } from './client.ts';
import { CollectionWatch } from './collection-watch.ts';
import { KubernetesError } from './failure.ts';
import { findAccess } from './find-access.ts';
import { withoutAllocation } from './given-subnets.ts';
import { listObjects } from './list.ts';
import { leaseOf, type NodeRecord, nodePath, recordOf, subnetsOf } from './node.ts';
import { isOfEvents, NodeEvents } from './node-events.ts';
import { reportOf } from './node-report.ts';
import type { NodeObject, PodObject } from './object.ts';
import { checkChoice, OwnNode } from './own-node.ts';
import type { KubernetesSettings } from './settings.ts';

const NODES = '/api/v1/nodes';
/** A shorter silence is an ordinary restart of the server, and no event. */
const SILENCE_MS = 30_000;

export interface KubernetesOptions {
  log: PlainLog;
  clock: Clock;
}

/** Asks nobody yet. Throws WeftError ERR_KUBE_ACCESS or ERR_USAGE. */
export async function createKubernetesRegistry(
  settings: KubernetesSettings,
  options: KubernetesOptions,
): Promise<Registry> {
  const names = annotationNames(settings.annotationPrefix);
  const client = new KubernetesClient(await findAccess(settings), options.clock);
  return new KubernetesRegistry(client, names, settings, options);
}

export class KubernetesRegistry implements Registry {
  readonly keysAreNodeNames = true;
  private readonly client: KubernetesClient;
  private readonly names: AnnotationNames;
  private readonly settings: KubernetesSettings;
  private readonly options: KubernetesOptions;
  private readonly events: NodeEvents;
  private nodeName: string | undefined;
  private own: OwnNode | undefined;
  /** our Node before we hold it, and what is wrong with it */
  private found: NodeRecord | undefined;
  private problem = '';
  /** what the underlay was chosen by */
  private before: Annotations | undefined;
  /** since when the server does not answer the watch, by the monotonic clock */
  private silentAtMs: number | undefined;

  /** The client is closed with the registry. */
  constructor(
    client: KubernetesClient,
    names: AnnotationNames,
    settings: KubernetesSettings,
    options: KubernetesOptions,
  ) {
    this.client = client;
    this.names = names;
    this.settings = settings;
    this.options = options;
    this.events = new NodeEvents(client, options);
    this.nodeName = settings.nodeName === '' ? undefined : settings.nodeName;
  }

  get name(): string {
    return this.client.name;
  }

  get configPlace(): string {
    return this.settings.configFile;
  }

  /** A Node's subnet is its own for as long as it exists. The host's name stands for the Node's, which only the server may know. */
  get memory(): MemoryPolicy {
    const of = `${this.name} ${this.names.managed} ${os.hostname()}`;
    return { of, until: () => undefined, isOurs: () => true };
  }

  get ownObject(): OwnObject {
    const { own, client, nodeName } = this;
    const podCidrs = own?.podCidrs ?? this.found?.podCidrs ?? [];
    return {
      server: client.name.replace(/^kubernetes /, ''),
      name: nodeName,
      podCidrs,
      isAnnotated: own?.state === 'held',
      problem: own?.problem ?? this.problem,
      forbidden: client.forbidden.filter((right) => !isOfEvents(right)),
      read: () => this.readReport(),
    };
  }

  async readConfig(): Promise<string | undefined> {
    try {
      return withoutAllocation(await readFile(this.configPlace, 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      const message = `network config ${this.configPlace} can't be read: ${messageOf(error)}`;
      throw new WeftError('ERR_CONFIG', EXIT.config, message, error);
    }
  }

  async ownBefore(): Promise<OwnBefore> {
    const record = await this.readOwn();
    const { name, annotations } = record;
    const published = decodeAnnotations(annotations, this.names);
    const chosen = chosenAddresses(annotations, this.names);
    this.before = annotations;
    return { key: name, published, ...chosen };
  }

  async list(): Promise<LeaseList> {
    const ownName = await this.ownName();
    const records = new Map<string, NodeRecord>();
    const keep = (object: NodeObject): void => {
      const record = this.reduce(object, ownName);
      if (record) records.set(record.name, record);
    };
    await this.asked(() => listObjects(this.client, NODES, () => records.clear(), keep));
    const watched = new WatchedLeases();
    watched.replace(this.foundIn(records), []);
    return watched.take(this.own?.see(records.get(ownName)) ?? false);
  }

  /** Nothing is written before all is known to fit. */
  async join({ config, attributes }: JoinWish): Promise<HeldLease> {
    const record = await this.readOwn();
    const why = whyUnfit(record, config);
    this.problem = why;
    if (why !== '') {
      this.tell({ reason: 'PodCIDRUnusable', isWarning: true, text: `${why}; weft waits` });
      throw new WeftError('ERR_CONFIG', EXIT.config, why);
    }
    if (this.before) checkChoice(this.before, record, this.names);
    const { client, names, options } = this;
    const own = new OwnNode(record, attributes, {
      ...options,
      client,
      names,
      subnetsOf: (of) => subnetsIn(config, of),
      tell: (notice) => this.tell(notice),
    });
    await this.asked(() => own.write());
    this.own = own;
    return own;
  }

  watch(
    onList: (list: LeaseList) => void,
    onError: (error: Error) => void,
    signal: AbortSignal,
  ): void {
    const { own, client } = this;
    if (!own) throw new Error('the registry is watched after joining');
    const ownName = own.lease.key;
    const watched = new WatchedLeases();
    const end = new AbortController();
    const watch = new CollectionWatch<NodeRecord>(
      client,
      {
        path: NODES,
        reduce: (object) => this.reduce(object, ownName),
        isUrgent: (name) => name === ownName,
        onReport: ({ records, changes, isWhole }) => {
          try {
            const ownRecord = records.get(ownName);
            if (ownRecord) this.events.about(ownRecord);
            const ownIsThere = own.see(ownRecord);
            this.tellOfSilence();
            if (isWhole) watched.replace(this.foundIn(records), []);
            else watched.change(this.foundIn(changes), []);
            onList(watched.take(ownIsThere));
          } catch (error) {
            end.abort(); // only another start can follow
            if (!(error instanceof WeftError)) return crash(error);
            onError(error);
          }
        },
        onError: (error) => {
          this.silentAtMs ??= this.options.clock.monotonicMs();
          onError(this.explain(error));
        },
      },
      undefined,
      this.options.clock,
    );
    void watch.run(AbortSignal.any([signal, end.signal]));
  }

  async nodeReady(): Promise<void> {
    if (this.settings.setsCondition) await this.own?.sayReady();
  }

  tell(notice: Notice): void {
    this.events.tell(notice);
  }

  async close(): Promise<void> {
    this.events.stop();
    this.own?.stop();
    this.client.close();
  }

  /** While it is silent nobody can write there. */
  private tellOfSilence(): void {
    if (this.silentAtMs === undefined) return;
    const silentMs = this.options.clock.monotonicMs() - this.silentAtMs;
    this.silentAtMs = undefined;
    if (silentMs < SILENCE_MS) return;
    const text = `The API server did not answer this node for ${Math.round(silentMs / 1000)} s; packets went on as the cluster was before`;
    this.tell({ reason: 'APIServerUnreachable', isWarning: true, text });
  }

  // ---- what the cluster says ----

  /** Nodes without flannel or weft are nobody's business, but for our own. */
  private reduce(object: NodeObject, ownName: string): NodeRecord | undefined {
    const record = recordOf(object, this.names);
    if (!record) return undefined;
    return record.name === ownName || isManaged(record.annotations, this.names)
      ? record
      : undefined;
  }

  private *foundIn(
    records: ReadonlyMap<string, NodeRecord | undefined>,
  ): Generator<[string, Found]> {
    for (const [name, record] of records) yield [name, record && leaseOf(record, this.names)];
  }

  private async readOwn(): Promise<NodeRecord> {
    const name = await this.ownName();
    const missing = `Node ${printable(name)} is not there: does the kubelet of this host run, under this name (NODE_NAME)?`;
    this.found = undefined;
    const object = await this.asked(() => this.client.get<NodeObject>(nodePath(name)), missing);
    const record = recordOf(object, this.names);
    this.found = record;
    if (record) {
      this.events.about(record);
      return record;
    }
    throw new WeftError('ERR_CONFIG', EXIT.config, missing);
  }

  private async readReport(): Promise<Readonly<Record<string, unknown>>> {
    const name = await this.ownName();
    const object = await this.asked(() => this.client.get<NodeObject>(nodePath(name)));
    return reportOf(object, this.names);
  }

  private async ownName(): Promise<string> {
    this.nodeName ??= await this.nameOfPodsNode();
    return this.nodeName;
  }

  private async nameOfPodsNode(): Promise<string> {
    const { podName, podNamespace } = this.settings;
    const [namespace, pod] = [podNamespace, podName].map(encodeURIComponent);
    const missing = `Pod ${printable(podNamespace)}/${printable(podName)} is not there: set POD_NAME and POD_NAMESPACE to weftd's own pod, or NODE_NAME`;
    const path = `/api/v1/namespaces/${namespace}/pods/${pod}`;
    const { spec } = await this.asked(() => this.client.get<PodObject>(path), missing);
    if (typeof spec?.nodeName === 'string' && spec.nodeName !== '') return spec.nodeName;
    throw new WeftError('ERR_CONFIG', EXIT.config, missing);
  }

  /** `missing`: what it means when the object is not there. */
  private async asked<T>(call: () => Promise<T>, missing?: string): Promise<T> {
    try {
      return await call();
    } catch (error) {
      const isMissing = error instanceof KubernetesError && error.kind === 'not found';
      if (isMissing && missing !== undefined) this.problem = missing;
      if (isMissing && missing !== undefined)
        throw new WeftError('ERR_CONFIG', EXIT.config, missing, error);
      throw this.explain(error);
    }
  }

  /** Whatever happened to an object meanwhile passes: the next look sees it. */
  private explain(error: unknown): Error {
    if (!(error instanceof KubernetesError)) return error as Error;
    if (error.kind === 'refused') return error;
    const { apiUrl, kubeconfigFile } = this.settings;
    const isService = error.status === undefined && apiUrl === '' && kubeconfigFile === '';
    const causes = isService
      ? '; a Service address: it needs kube-proxy, and a range outside Network; --kube-api-url names another'
      : '';
    const message = `${error.message}${causes}`;
    return new WeftError('ERR_STORE_UNAVAILABLE', EXIT.unavailable, message, error);
  }
}

/** A bug ends the process, also where somebody else's loop would take it for a failure of the server. */
function crash(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

/** Of families that the network has. */
function subnetsIn({ ipv4, ipv6 }: NetworkConfig, record: NodeRecord): LeaseSubnets {
  const { subnet4, subnet6 } = subnetsOf(record);
  return { ...(ipv4 && subnet4 && { subnet4 }), ...(ipv6 && subnet6 && { subnet6 }) };
}

/** Why this node can't be part of the network, and what to do; '' when it can. */
export function whyUnfit(
  record: Pick<NodeRecord, 'name' | 'podCidrs'>,
  { ipv4, ipv6 }: NetworkConfig,
): string {
  const node = `Node ${printable(record.name)}`;
  const { subnet4, subnet6 } = subnetsOf(record);
  for (const [family, range, subnet, key] of [
    [4, ipv4, subnet4, 'Network'],
    [6, ipv6, subnet6, 'IPv6Network'],
  ] as const) {
    if (!range) continue;
    const network = formatPrefix(range.network);
    if (!subnet)
      return `${node} has no IPv${family} podCIDR: kube-controller-manager needs --allocate-node-cidrs and --cluster-cidr=${network}`;
    if (!holdsPrefix(range.network, subnet))
      return `podCIDR ${formatPrefix(subnet)} of ${node} is outside ${key} ${network}: make ${key} and kube-controller-manager's --cluster-cidr the same`;
  }
  return '';
}
