/** Besides the talkers: TCP transfers whose hashes are compared, and pings of many sizes, between random pods in random families. */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/shared/errors.ts';
import type { Lab } from '../lab.ts';
import type { Random } from '../random.ts';
import { ping } from '../traffic.ts';
import { transferHash } from '../transfer.ts';
import { monotonicMs } from './monotonic.ts';
import { type Way, wayText } from './talk.ts';

const TRANSFER_PAUSE_MS = 2_000;
const PING_PAUSE_MS = 500;
const BYTES = { least: 100_000, more: 4_000_000 };
/** ICMP payloads: the least with a time in it, usual, around a pod's MTU in both families, in fragments. */
const SIZES = [16, 56, 1_000, 1_372, 1_402, 1_403, 1_422, 1_423, 1_472, 3_000, 8_000];
const PINGS = 3;

export interface SideCounts {
  transfers: number;
  transferredBytes: number;
  /** ended by a fault */
  interrupted: number;
  pings: number;
  /** while a fault was felt */
  pingsLost: number;
}

type Explains = (way: Way, beganMs: number, endedMs: number) => boolean;

export class SideTraffic {
  readonly counts: SideCounts = {
    transfers: 0,
    transferredBytes: 0,
    interrupted: 0,
    pings: 0,
    pingsLost: 0,
  };
  private readonly lab: Lab;
  private readonly random: Random;
  private readonly explains: Explains;
  private readonly tell: (problem: string) => void;
  private isOver = false;
  private turns: Promise<unknown> = Promise.resolve();

  /** `explains`: whether a fault may have been felt on a way; `tell` is called with each violation. */
  constructor(lab: Lab, random: Random, explains: Explains, tell: (problem: string) => void) {
    this.lab = lab;
    this.random = random;
    this.explains = explains;
    this.tell = tell;
  }

  start(): void {
    this.turns = Promise.all([
      this.again(() => this.transfer(), TRANSFER_PAUSE_MS),
      this.again(() => this.ping(), PING_PAUSE_MS),
    ]);
  }

  /** Waits for what is under way. */
  async stop(): Promise<void> {
    this.isOver = true;
    await this.turns;
  }

  private async again(act: () => Promise<void>, pauseMs: number): Promise<void> {
    while (!this.isOver) {
      await act();
      await sleep(pauseMs);
    }
  }

  private anyWay(): Way {
    const from = this.random.below(this.lab.pods.length);
    const to = (from + 1 + this.random.below(this.lab.pods.length - 1)) % this.lab.pods.length;
    return { from, to, family: this.random.pick(this.lab.families) };
  }

  private async transfer(): Promise<void> {
    const way = this.anyWay();
    const bytes = BYTES.least + this.random.below(BYTES.more);
    const beganMs = monotonicMs();
    try {
      const options = { family: way.family, seed: this.random.below(1_000) };
      const result = await transferHash(
        this.lab.pod(way.from),
        this.lab.pod(way.to),
        bytes,
        options,
      );
      this.counts.transfers++;
      this.counts.transferredBytes += bytes;
      if (!result.equal) this.tell(`a transfer of ${bytes} bytes, ${wayText(way)}, came changed`);
    } catch (error) {
      if (this.lab.scope.cleanup.begun) return;
      this.counts.interrupted++;
      if (!this.explains(way, beganMs, monotonicMs()))
        this.tell(`a transfer of ${bytes} bytes, ${wayText(way)}, failed: ${messageOf(error)}`);
    }
  }

  private async ping(): Promise<void> {
    const way = this.anyWay();
    const size = this.random.pick(SIZES);
    const beganMs = monotonicMs();
    const options = { family: way.family, count: PINGS, size, waitMs: 2_000 };
    const result = await ping(this.lab.pod(way.from), this.lab.pod(way.to), options).catch(
      (error: unknown) => {
        if (!this.lab.scope.cleanup.begun) this.tell(messageOf(error));
        return undefined;
      },
    );
    if (!result) return;
    const lost = result.sent - result.received;
    this.counts.pings += result.sent;
    this.counts.pingsLost += lost;
    if (lost > 0 && !this.explains(way, beganMs, monotonicMs()))
      this.tell(`${lost} of ${result.sent} pings of ${size} bytes lost, ${wayText(way)}`);
  }
}
