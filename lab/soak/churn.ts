/** Nodes that do not exist come, change and go in the store, all the time. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../lab.ts';
import { leaseKey, leaseValue, type VxlanLease } from '../lease-file.ts';
import { mustParsePrefix } from '../node.ts';
import type { Random } from '../random.ts';

const PAUSE_MS = 1_500;
/** Subnets that neither daemons choose first nor the stock node has. */
const FIRST_SUBNET = 150;
/** Few: the stock node's follower runs commands for each. */
const NODES = 5;

export class Churn {
  changes = 0;
  /** the store was away, as faults want it */
  refused = 0;
  private readonly lab: Lab;
  private readonly random: Random;
  private readonly there = new Set<number>();
  private isOver = false;
  private turn: Promise<void> = Promise.resolve();

  constructor(lab: Lab, random: Random) {
    this.lab = lab;
    this.random = random;
  }

  start(): void {
    this.turn = this.go();
  }

  /** All of them leave. */
  async stop(): Promise<void> {
    this.isOver = true;
    await this.turn;
    for (const node of this.there) await this.lab.board.remove(leaseKey(leaseOf(node, 0)));
  }

  private async go(): Promise<void> {
    while (!this.isOver) {
      await this.change().then(
        () => this.changes++,
        () => this.refused++,
      );
      await sleep(PAUSE_MS);
    }
  }

  /** One that is there leaves or changes, another comes. */
  private async change(): Promise<void> {
    const node = this.random.below(NODES);
    const lease = leaseOf(node, this.random.below(200));
    const leaves = this.there.has(node) && this.random.chance(0.5);
    if (leaves) {
      await this.lab.board.remove(leaseKey(lease));
      this.there.delete(node);
    } else {
      // Known before it is written: a write that fails half-way may have happened.
      this.there.add(node);
      await this.lab.board.write(leaseKey(lease), leaseValue(lease));
    }
  }
}

function leaseOf(node: number, change: number): VxlanLease {
  const subnet = FIRST_SUBNET + node;
  const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
  const mac = `02:00:00:00:${hex(change)}:${hex(node)}`;
  return {
    subnet4: mustParsePrefix(`10.244.${subnet}.0/24`),
    subnet6: mustParsePrefix(`fd00:244:0:${subnet.toString(16)}::/64`),
    publicIp: `198.18.0.${node + 1}`,
    publicIpv6: `2001:db8::${hex(node + 1)}`,
    vtepMac: mac,
    vtepMacV6: mac,
  };
}
