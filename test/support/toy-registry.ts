/**
 * A registry without a store behind it, as a test's own cluster: nothing is allocated (each node has its subnet by name, as Kubernetes'
 * podCIDR) and nothing expires. Also the sample for "how to add a registry": it is one file, and nothing else knows of it.
 */
import type { Lease, LeaseAttributes } from '../../src/cluster/lease/lease.ts';
import type {
  ClockReading,
  HeldLease,
  JoinWish,
  LeaseList,
  LeaseState,
  MemoryPolicy,
  Notice,
  Registry,
} from '../../src/cluster/registry.ts';
import { type Prefix, parseAddress, parsePrefix, type Words } from '../../src/shared/address.ts';

interface Watcher {
  onList: (list: LeaseList) => void;
  onError: (error: Error) => void;
}

/** A node's entry: "10.244.N.0/24" at 192.0.2.N. */
export function toyLease(n: number, attributes: Partial<LeaseAttributes> = {}): Lease {
  return {
    key: `node-${n}`,
    subnet4: parsePrefix(`10.244.${n}.0/24`) as Prefix,
    attributes: {
      publicIp4: parseAddress(`192.0.2.${n}`) as Words,
      backendType: 'host-gw',
      ...attributes,
    },
    isPermanent: true,
    revision: '1',
  };
}

export class ToyRegistry implements Registry {
  readonly name = 'toy registry';
  readonly configPlace = 'the test';
  /** Nodes have names here, and nothing ends. */
  readonly memory: MemoryPolicy = {
    of: 'toy registry, node-1',
    until: () => undefined,
    isOurs: ({ key }) => key === 'node-1',
  };
  config: string | undefined;
  /** thrown by the next calls while it is set */
  failure: Error | undefined;
  /** how far its clock is ahead */
  clockAheadMs = 0;
  /** what happened, in order */
  readonly calls: string[] = [];
  /** what the people of the cluster were told */
  readonly notices: Notice[] = [];
  private readonly nodes = new Map<string, Lease>();
  private watcher: Watcher | undefined;
  private own: ToyLease | undefined;

  async readConfig(): Promise<string | undefined> {
    if (this.failure) throw this.failure;
    return this.config;
  }

  async list(): Promise<LeaseList> {
    if (this.failure) throw this.failure;
    return this.now();
  }

  async join({ attributes }: JoinWish): Promise<HeldLease> {
    if (this.failure) throw this.failure;
    this.calls.push('join');
    this.own = new ToyLease({ ...toyLease(1), attributes }, (lease) => this.put(lease));
    return this.own;
  }

  watch(onList: Watcher['onList'], onError: Watcher['onError'], signal: AbortSignal): void {
    this.watcher = { onList, onError };
    signal.addEventListener('abort', () => {
      this.watcher = undefined;
    });
  }

  async readClock(): Promise<ClockReading> {
    if (this.failure) throw this.failure;
    return { aheadMs: this.clockAheadMs, by: 'the test' };
  }

  async nodeReady(): Promise<void> {
    this.calls.push('nodeReady');
  }

  tell(notice: Notice): void {
    this.notices.push(notice);
  }

  async close(): Promise<void> {
    this.calls.push('registry.close');
  }

  /** What other nodes and the administrator do. */
  put(...leases: Lease[]): void {
    for (const lease of leases) this.nodes.set(lease.key, lease);
    this.watcher?.onList(this.now());
  }

  remove(...keys: string[]): void {
    for (const key of keys) this.nodes.delete(key);
    this.watcher?.onList(this.now());
  }

  breakDown(error: Error): void {
    this.watcher?.onError(error);
  }

  get(key: string): Lease | undefined {
    return this.nodes.get(key);
  }

  private now(): LeaseList {
    const key = this.own?.lease.key ?? '';
    return { leases: [...this.nodes.values()], unreadable: [], ownIsThere: this.nodes.has(key) };
  }
}

class ToyLease implements HeldLease {
  lease: Lease;
  readonly state: LeaseState = 'held';
  readonly renewals = { ok: 0, failed: 0 };
  private readonly write: (lease: Lease) => void;

  constructor(lease: Lease, write: (lease: Lease) => void) {
    this.lease = lease;
    this.write = write;
    write(lease);
  }

  async publish(attributes: LeaseAttributes): Promise<void> {
    this.lease = { ...this.lease, attributes };
    this.write(this.lease);
  }

  stop(): void {
    // nothing runs in the background
  }
}
