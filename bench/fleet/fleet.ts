/** Daemons under test, a cluster of three etcd members, and the nodes that are played on it. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { adminPage } from '../../lab/admin-page.ts';
import { type EtcdServer, startCluster } from '../../lab/etcd.ts';
import { Etcdctl } from '../../lab/etcdctl.ts';
import { STORE_INDEX, underlayAddress } from '../../lab/fabric.ts';
import { ETCD_PREFIX, Lab } from '../../lab/lab.ts';

import type { WeftNode } from '../../lab/weft-node.ts';
import type { PeersPage } from '../../src/api/peers.ts';
import type { StatusPage } from '../../src/api/status.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { cpuSeconds, residentMb } from '../gauges.ts';
import type { Order, Written } from './generator.ts';
import { FLEET_CONFIG, fleetKey, fleetMac } from './node.ts';

const WRITING_MS_MAX = 600_000;
const CONVERGED_MS_MAX = 180_000;
const LOOK_MS = 20;
const EXACT_MS = 500;

/** What the daemons and etcd have used since they started. */
interface Use {
  /** each daemon's */
  daemons: number[];
  /** each member's */
  etcd: number[];
}

/** What a situation cost. */
export interface Cost {
  /** s of a core, the daemon that used most */
  daemonCpuSeconds: number;
  /** s of a core, all members */
  etcdCpuSeconds: number;
  /** at its end, the daemon that has most */
  daemonMemoryMb: number;
}

export class Fleet {
  readonly lab: Lab;
  readonly members: readonly EtcdServer[];
  /** which MAC each played node has now; those that are gone are not in it */
  readonly changes = new Map<number, number>();

  private constructor(lab: Lab, members: readonly EtcdServer[]) {
    this.lab = lab;
    this.members = members;
  }

  static async start(daemons: number, onStep: (text: string) => void): Promise<Fleet> {
    const nodes = Array.from({ length: daemons }, () => ({ kind: 'weft' }) as const);
    const lab = await Lab.build(
      { nodes, store: 'etcd', waitForPeers: false, configOptions: FLEET_CONFIG },
      onStep,
    );
    try {
      onStep('starting a cluster of three etcd members');
      const namespace = lab.etcd?.options.namespace;
      if (!namespace) throw new Error('the lab has no namespace for etcd');
      const address = underlayAddress(STORE_INDEX).address4;
      const flags = ['--quota-backend-bytes=4294967296'];
      const members = await startCluster(path.join(lab.storeDir, 'three'), 3, {
        namespace,
        address,
        flags,
      });
      const fleet = new Fleet(lab, members);
      await fleet.ctl.put(`${ETCD_PREFIX}/config`, JSON.stringify(FLEET_CONFIG));
      const store = [`--etcd-endpoints=${fleet.endpoints.join(',')}`];
      await Promise.all(lab.weftNodes.map((node) => node.restart({ store })));
      return fleet;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  get endpoints(): string[] {
    return this.members.map(({ endpoint }) => endpoint);
  }

  get ctl(): Etcdctl {
    const namespace = this.lab.etcd?.options.namespace;
    return new Etcdctl({ endpoints: this.endpoints, ...(namespace && { namespace }) });
  }

  /** Has nodes play, and keeps what they have written. */
  async play(order: Omit<Order, 'endpoints' | 'prefix'>): Promise<Written> {
    const program = path.join(projectRoot(), 'dist/bench/fleet/generator.js');
    const whole: Order = { ...order, endpoints: this.endpoints, prefix: ETCD_PREFIX };
    const namespace = this.lab.etcd?.options.namespace;
    if (!namespace) throw new Error('the lab has no namespace for etcd');
    const { stdout } = await namespace.exec(process.execPath, [program, JSON.stringify(whole)], {
      timeoutMs: WRITING_MS_MAX,
    });
    const { what, from, change } = order;
    const count = what === 'watch' ? (order.writes ?? 0) : order.count;
    for (let i = from; i < from + count; i++) {
      if (what === 'delete') this.changes.delete(i);
      else if (what !== 'list') this.changes.set(i, change);
    }
    return JSON.parse(stdout) as Written;
  }

  /**
   * Waits until each daemon has exactly the peers that the store has. Returns the unix time, ms, when that was seen of the last one.
   * Counting is cheap and comparing is not: the daemon is asked for all peers only when their number is right.
   */
  async converged(): Promise<number> {
    const deadline = Date.now() + CONVERGED_MS_MAX;
    const times = await Promise.all(
      this.lab.weftNodes.map(async (node) => {
        while (!((await this.hasAsMany(node)) && (await this.isExact(node)))) {
          if (Date.now() > deadline) throw new Error(`${node.name} does not converge`);
          await sleep(LOOK_MS);
        }
        return Date.now();
      }),
    );
    return Math.max(...times);
  }

  private async hasAsMany(node: WeftNode): Promise<boolean> {
    const { peers } = await statusOf(node);
    return peers.total === this.changes.size + this.lab.weftNodes.length - 1 && peers.held === 0;
  }

  private async isExact(node: WeftNode): Promise<boolean> {
    const { peers } = JSON.parse(await adminPage(node.adminSocket, '/peers')) as PeersPage;
    const macs = new Map(peers.map(({ key, mac }) => [key, mac]));
    for (const [i, change] of this.changes)
      if (macs.get(fleetKey(i)) !== fleetMac(i, change)) {
        await sleep(EXACT_MS);
        return false;
      }
    return true;
  }

  /** Waits until each daemon has seen all go that went. Returns how many it keeps although their leases are gone; the least. */
  async sawThemGo(): Promise<number> {
    const deadline = Date.now() + CONVERGED_MS_MAX;
    const left = this.changes.size + this.lab.weftNodes.length - 1;
    for (;;) {
      const all = await Promise.all(this.lab.weftNodes.map(statusOf));
      if (all.every(({ peers }) => peers.total - peers.held === left))
        return Math.min(...all.map(({ peers }) => peers.held));
      if (Date.now() > deadline) throw new Error('a daemon does not see that leases went');
      await sleep(LOOK_MS);
    }
  }

  /** Starts to count; the returned function says what has been used since. */
  meter(): () => Cost {
    const before = this.use();
    return () => {
      const now = this.use();
      const etcd = used(before.etcd, now.etcd);
      return {
        daemonCpuSeconds: Math.max(...used(before.daemons, now.daemons)),
        etcdCpuSeconds: etcd.reduce((a, b) => a + b, 0),
        daemonMemoryMb: Math.max(...this.lab.weftNodes.map(({ pid }) => residentMb(pid ?? 0))),
      };
    };
  }

  private use(): Use {
    const of = ({ pid }: { pid: number | undefined }): number => cpuSeconds(pid ?? 0);
    return { daemons: this.lab.weftNodes.map(of), etcd: this.members.map(of) };
  }
}

/** Of a process that was killed meanwhile nothing is known: it counts as none. */
function used(before: readonly number[], now: readonly number[]): number[] {
  return now.map((seconds, i) => Math.max(0, seconds - (before[i] ?? 0)));
}

export async function statusOf(node: WeftNode): Promise<StatusPage> {
  return JSON.parse(await adminPage(node.adminSocket, '/status')) as StatusPage;
}
