/**
 * A registry that remembers, around any other: what the other says is kept in a file, and a node that starts while the other does not
 * answer is told what was true last. As soon as the other answers, everything is compared: what still holds goes on without a break,
 * and what does not ends the daemon, which then starts as ever.
 *
 * Silence is what calls for the memory: no answer, or no network config, which is how a store looks that is not mounted or was wiped. A
 * refusal is an answer.
 */
import { formatAddress } from '../../shared/address.ts';
import type { Clock } from '../../shared/clock.ts';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { FOREIGN_CHARACTERS_MAX, printable } from '../../shared/printable.ts';
import type { PlainLog } from '../../shared/repeats.ts';
import { formatKey } from '../lease/key.ts';
import type { LeaseSubnets } from '../lease/lease.ts';
import { parseNetworkConfig } from '../network-config.ts';
import {
  type ClockReading,
  type HeldLease,
  type JoinWish,
  type LeaseList,
  type MemoryPolicy,
  type Notice,
  type OwnBefore,
  passes,
  type Registry,
  startAgain,
} from '../registry.ts';
import type { Memory } from './memory.ts';
import { MemoryFile } from './memory-file.ts';
import { RememberedLease } from './remembered-lease.ts';

/** How long a start waits for an answer. */
export const PATIENCE_MS = 3_000;
const AGAIN_MS = 1_000;
/** What did not change is still confirmed: the file's age is that of the last answer, more or less. */
const CONFIRM_MS = 600_000;

export interface RememberOptions {
  /** state directory */
  folder: string;
  log: PlainLog;
  clock: Clock;
}

/** The same registry, remembered if its own rules allow it. */
export function remembering(inner: Registry, options: RememberOptions): Registry {
  return inner.memory ? new RememberingRegistry(inner, inner.memory, options) : inner;
}

export class RememberingRegistry implements Registry {
  private readonly inner: Registry;
  private readonly policy: MemoryPolicy;
  private readonly file: MemoryFile;
  private readonly log: PlainLog;
  private readonly clock: Clock;
  /** the file, as the start found it */
  private found: Promise<Memory | undefined> | undefined;
  /** why the memory was not used, at the last look */
  private refusal = '';
  /** since when an answer is awaited */
  private askedAtMs: number | undefined;
  /** the memory in use */
  private recalled: Memory | undefined;
  /** why the registry is silent, at the last try */
  private silence = '';
  /** text of the network config in force */
  private config: string | undefined;
  private wish: JoinWish | undefined;
  private held: HeldLease | undefined;
  /** the registry's last list; undefined while it does not answer */
  private latest: LeaseList | undefined;
  /** a join that took too long */
  private late: Promise<unknown> | undefined;
  private wantsReady = false;
  /** addresses that people chose for this node, as the start took them: IPv4, IPv6 */
  private chosen: readonly (string | undefined)[] = [];
  private watches = false;

  /** `inner` is closed with it. */
  constructor(inner: Registry, policy: MemoryPolicy, { folder, log, clock }: RememberOptions) {
    this.inner = inner;
    this.policy = policy;
    this.file = new MemoryFile(folder, log, clock);
    this.log = log;
    this.clock = clock;
  }

  get name(): string {
    return this.inner.name;
  }

  get configPlace(): string {
    return this.inner.configPlace;
  }

  get ownObject(): Registry['ownObject'] {
    return this.inner.ownObject;
  }

  get keysAreNodeNames(): Registry['keysAreNodeNames'] {
    return this.inner.keysAreNodeNames;
  }

  get rememberedAtMs(): number | undefined {
    return this.recalled?.savedAtMs;
  }

  async readConfig(): Promise<string | undefined> {
    if (this.watches) return this.inner.readConfig();
    const text = await this.ask(
      () => this.inner.readConfig(),
      ({ config }) => config,
    );
    this.config = text;
    return text;
  }

  async list(): Promise<LeaseList> {
    if (this.recalled && this.watches) throw this.silent();
    return this.ask(
      async () => this.learn(await this.inner.list()),
      ({ own, others }) => ({ leases: [own, ...others], unreadable: [], ownIsThere: true }),
    );
  }

  /** Remembered is only what was published: what people chose is looked at when the registry answers. */
  async ownBefore(): Promise<OwnBefore | undefined> {
    if (!this.inner.ownBefore) return undefined;
    const before = await this.ask<OwnBefore | undefined>(
      async () => this.inner.ownBefore?.(),
      ({ own: { key, attributes } }) => {
        return { key, published: attributes, publicIp4: undefined, publicIp6: undefined };
      },
    );
    this.chosen = [before?.publicIp4, before?.publicIp6].map(
      (words) => words && formatAddress(words),
    );
    return before;
  }

  async join(wish: JoinWish): Promise<HeldLease> {
    const fullWish = { ...wish, previous: wish.previous ?? (await this.lastSubnets()) };
    this.wish = fullWish;
    let joining: Promise<HeldLease> | undefined;
    this.held = await this.ask(
      () => {
        joining = this.inner.join(fullWish);
        return joining;
      },
      ({ own }) => {
        this.late = joining?.then((held) => held.stop()).catch(() => undefined);
        return new RememberedLease({ ...own, attributes: wish.attributes });
      },
    );
    return this.held;
  }

  watch(
    onList: (list: LeaseList) => void,
    onError: (error: Error) => void,
    signal: AbortSignal,
  ): void {
    this.watches = true;
    const follow = (): void => {
      this.inner.watch(
        (list) => onList(this.learn(list)),
        (error) => {
          this.latest = undefined;
          onError(error);
        },
        signal,
      );
    };
    const confirm = this.clock.every(CONFIRM_MS, () => this.latest && this.learn(this.latest));
    signal.addEventListener('abort', () => confirm.stop(), { once: true });
    if (this.recalled) void this.untilConfirmed(onError, signal).then((is) => is && follow());
    else follow();
  }

  async readClock(): Promise<ClockReading | string> {
    return (await this.inner.readClock?.()) ?? 'nothing ends there';
  }

  async nodeReady(): Promise<void> {
    if (this.recalled) this.wantsReady = true;
    else await this.inner.nodeReady?.();
  }

  tell(notice: Notice): void {
    this.inner.tell?.(notice);
  }

  async close(): Promise<void> {
    await this.file.close();
    await this.inner.close();
  }

  // ---- the start ----

  /** The registry's answer, or what is remembered when there was none for {@link PATIENCE_MS}. */
  private async ask<T>(call: () => Promise<T>, recall: (memory: Memory) => T): Promise<T> {
    if (this.recalled) return recall(this.recalled);
    this.askedAtMs ??= this.clock.monotonicMs();
    this.found ??= this.file.read();
    const memory = this.watches ? undefined : await this.found;
    const refusal = memory ? this.whyNot(memory) || this.whyEnded(memory) : '';
    const isUsable = memory !== undefined && refusal === '';
    try {
      const answer = await (isUsable ? this.inTime(call()) : call());
      if (answer !== undefined) {
        this.askedAtMs = undefined;
        return answer;
      }
      this.silence = this.noConfig().message;
      if (!isUsable || !this.isLate()) {
        this.sayRefusal(refusal);
        return answer;
      }
    } catch (error) {
      if (!isSilence(error)) throw error;
      this.silence = messageOf(error);
      if (!isUsable || !this.isLate()) {
        this.sayRefusal(refusal);
        throw error;
      }
    }
    this.recalled = memory;
    this.log.warn(
      { lease: memory.own.key, peers: memory.others.length, savedAt: isoOf(memory.savedAtMs) },
      `${this.silence}; starting from memory, ${ageOf(memory, this.clock.nowMs())} old`,
    );
    return recall(memory);
  }

  /** Rejects when the patience ends first; what is late is not heard any more. */
  private inTime<T>(answer: Promise<T>): Promise<T> {
    const leftMs = (this.askedAtMs as number) + PATIENCE_MS - this.clock.monotonicMs();
    return new Promise((resolve, reject) => {
      const timer = this.clock.after(Math.max(0, leftMs), () =>
        reject(
          unavailable(this.silence || `store ${this.name}: no answer for ${PATIENCE_MS / 1_000} s`),
        ),
      );
      void answer.then(resolve, reject).finally(() => timer.stop());
    });
  }

  private isLate(): boolean {
    return this.clock.monotonicMs() - (this.askedAtMs as number) >= PATIENCE_MS;
  }

  /** Once, and again when it is another one. */
  private sayRefusal(why: string): void {
    if (why !== '' && why !== this.refusal)
      this.log.warn(`what this node remembers is not used: ${why}`);
    this.refusal = why;
  }

  /** Why it is not about this node in this network, '' when it is. */
  private whyNot({ of, config, own }: Memory): string {
    if (of !== this.policy.of)
      return `it is of ${printable(of, FOREIGN_CHARACTERS_MAX * 2)}, not of ${this.policy.of}`;
    const problem = configProblem(config);
    if (problem !== '') return problem;
    if (this.config !== undefined && !isSameConfig(config, this.config))
      return 'the network config is another now';
    if (this.wish && !this.policy.isOurs(own, this.wish.attributes))
      return "it is of a node with another address than this node's";
    return '';
  }

  /**
   * Why it is too old, '' when it is not. A clock that runs behind the file was not set since the power came: how old the file is, nobody
   * knows then.
   */
  private whyEnded({ savedAtMs, own }: Memory): string {
    const nowMs = this.clock.nowMs();
    const untilMs = this.policy.until(own);
    if (untilMs === undefined) return '';
    if (nowMs < savedAtMs)
      return `this machine's clock is behind ${isoOf(savedAtMs)}, when it was written: set the clock`;
    return nowMs < untilMs ? '' : `this node's lease ended at ${isoOf(untilMs)}`;
  }

  /** Also of a memory that is too old to start from: the pods would like to keep their addresses. */
  private async lastSubnets(): Promise<JoinWish['previous']> {
    const memory = await this.found;
    if (memory?.of !== this.policy.of) return undefined;
    return subnetsOf(memory.own);
  }

  // ---- until the registry answers ----

  /** Whether the watch can begin; false when all is over. */
  private async untilConfirmed(
    onError: (error: Error) => void,
    signal: AbortSignal,
  ): Promise<boolean> {
    let isOver = false;
    const end = (error: Error): void => {
      if (isOver || signal.aborted) return;
      isOver = true;
      onError(error);
    };
    const watchTime = this.clock.every(AGAIN_MS, () => {
      const why = this.recalled ? this.whyEnded(this.recalled) : '';
      if (why !== '') end(startAgain(`what this node remembers is no longer valid: ${why}`));
    });
    onError(this.silent());
    while (!signal.aborted && !isOver) {
      try {
        await this.confirm();
        break;
      } catch (error) {
        this.silence = messageOf(error);
        if (error instanceof WeftError && !passes(error)) end(error);
        else if (!isOver && !signal.aborted) onError(error as Error);
      }
      await this.clock.sleep(AGAIN_MS, signal).catch(() => undefined);
    }
    watchTime.stop();
    return !isOver && !signal.aborted;
  }

  /** Compares what is in force with what the registry says. Throws while it is silent, and finally when something is another now. */
  private async confirm(): Promise<void> {
    const { recalled, wish, held } = this;
    if (!recalled || !wish || !held) return;
    const text = await this.inner.readConfig();
    if (text === undefined) throw this.noConfig();
    if (!isSameConfig(text, recalled.config))
      throw startAgain('the network config changed while this node ran from memory');
    await this.checkChosen();
    // The registry may have fallen silent between two answers of the start: then the lease is its own already.
    if (held instanceof RememberedLease) await this.rejoin(held, recalled, wish);
    this.config = text;
    this.recalled = undefined;
    this.log.info({ lease: held.lease.key }, 'the store answers: what was remembered holds');
    if (this.wantsReady) await this.inner.nodeReady?.();
  }

  private async checkChosen(): Promise<void> {
    const { publicIp4, publicIp6 } = (await this.inner.ownBefore?.()) ?? {};
    const chosen = [publicIp4, publicIp6].map((words) => words && formatAddress(words));
    const [used4, used6] = this.chosen;
    if (chosen[0] !== used4 || chosen[1] !== used6)
      throw startAgain('the registry has another address for this node than it runs with');
  }

  private async rejoin(held: RememberedLease, { own }: Memory, wish: JoinWish): Promise<void> {
    await this.late;
    const joined = await this.inner.join({ ...wish, previous: subnetsOf(own) });
    const [before, now] = [own, joined.lease].map(formatKey);
    if (now !== before) {
      joined.stop();
      const given = `${before} is another node's now, ours is ${now}`;
      throw startAgain(`this node's subnet was given away while it ran from memory: ${given}`);
    }
    await held.confirm(joined);
  }

  private silent(): WeftError {
    return unavailable(this.silence);
  }

  private noConfig(): WeftError {
    const message = `no network config yet; write ${this.configPlace}`;
    return new WeftError('ERR_CONFIG', EXIT.config, message);
  }

  // ---- what is kept ----

  /** A list without our own lease is of a store that is being emptied: worse than what is known. */
  private learn(list: LeaseList): LeaseList {
    this.latest = list;
    const { config, held } = this;
    if (config === undefined || !held || !list.ownIsThere) return list;
    const own = held.lease;
    this.file.offer({
      ...{ of: this.policy.of, savedAtMs: this.clock.nowMs(), config, own },
      // Put together when it is written: lists come much more often.
      get others() {
        return list.leases.filter(({ key }) => key !== own.key);
      },
    });
    return list;
  }
}

function subnetsOf({ subnet4, subnet6 }: LeaseSubnets): LeaseSubnets {
  return { ...(subnet4 && { subnet4 }), ...(subnet6 && { subnet6 }) };
}

function isSilence(error: unknown): boolean {
  return error instanceof WeftError && error.code === 'ERR_STORE_UNAVAILABLE';
}

function unavailable(message: string): WeftError {
  return new WeftError('ERR_STORE_UNAVAILABLE', EXIT.unavailable, message);
}

function configProblem(text: string): string {
  try {
    parseNetworkConfig(text);
    return '';
  } catch (error) {
    return messageOf(error);
  }
}

/** Throws what {@link parseNetworkConfig} does. */
function isSameConfig(a: string, b: string): boolean {
  return JSON.stringify(parseNetworkConfig(a)) === JSON.stringify(parseNetworkConfig(b));
}

function isoOf(atMs: number): string {
  return new Date(atMs).toISOString();
}

function ageOf({ savedAtMs }: Memory, nowMs: number): string {
  const minutes = Math.max(0, Math.floor((nowMs - savedAtMs) / 60_000));
  return minutes === 1 ? '1 minute' : `${minutes} minutes`;
}
