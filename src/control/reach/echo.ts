/** ICMP echoes from the overlay device's address: the way that pods' packets take, answered by any peer's kernel. */
import { randomBytes, randomInt } from 'node:crypto';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { getSystemErrorName } from 'node:util';
import type { Echo } from '../../api/ping.ts';
import type { Addon } from '../../memory/addon.ts';
import { ECHO, LAYOUT } from '../../memory/layout.ts';
import { addressBytes, familyOf, sameWords, type Words } from '../../shared/address.ts';
import { messageOf } from '../../shared/errors.ts';
import { ECHOES_PER_SECOND } from '../../shared/limits.ts';

/** Between two looks at a socket: what others send to this host comes there too, and must not keep us busy. The kernel notes when it came. */
const LOOKS_MS = 2;
const ROWS = 64;
const SEQUENCES = 0x10000;
/** The error that says "too large for the way": only with it a node on the way names an MTU. */
const { EMSGSIZE } = constants.errno;

export interface EchoOptions {
  /** bytes behind the echo header */
  payloadBytes: number;
  timeoutMs: number;
}

/** What echoes need of the addon; tests of others replace it. */
export type EchoAddon = Pick<
  Addon,
  'openEcho' | 'echoSend' | 'echoReceive' | 'watch' | 'watchAgain' | 'unwatch' | 'close'
>;

interface Pending {
  address: Words;
  sentAtNs: number;
  deadline: NodeJS.Timeout;
  done: (result: Echo) => void;
}

/** A socket, and what says that something came there. */
interface Ear {
  fd: number;
  watch: number;
  /** something came: the socket is not watched until it is looked at */
  next: NodeJS.Timeout | undefined;
}

/** Sends from the given addresses, each socket opened at its first use. Echoes of all callers share one pace. */
export class EchoSender {
  private readonly addon: EchoAddon;
  private readonly sources: Readonly<Partial<Record<4 | 6, Words>>>;
  private readonly deviceWith: (address: Words) => string | undefined;
  private readonly token = new Uint8Array(randomBytes(LAYOUT.echoTokenBytes));
  private readonly identifier = randomInt(SEQUENCES);
  private readonly rows = new Float64Array(ROWS * LAYOUT.echoRowDoubles);
  private readonly ears = new Map<4 | 6, Ear>();
  private readonly pending = new Map<number, Pending>();
  private sequence = 0;
  private nextAtMs = 0;
  private isClosed = false;

  /** `deviceWith`: the device of this host that has an address, if one has it. */
  constructor(
    addon: EchoAddon,
    sources: Readonly<Partial<Record<4 | 6, Words>>>,
    deviceWith: (address: Words) => string | undefined = () => undefined,
  ) {
    this.addon = addon;
    this.sources = sources;
    this.deviceWith = deviceWith;
  }

  /** One echo; never rejects. Waits for its turn first: at most ECHOES_PER_SECOND leave this node. */
  async send(address: Words, { payloadBytes, timeoutMs }: EchoOptions): Promise<Echo> {
    await this.turn();
    if (this.isClosed) return { state: 'lost' };
    const device = this.deviceWith(address);
    // The answer would come from here.
    if (device !== undefined) return { state: 'refused', why: taken(device), mtu: null };
    try {
      const ear = this.open(familyOf(address));
      const sequence = this.freeSequence();
      const { identifier } = this;
      const request = { address: addressBytes(address), identifier, sequence, payloadBytes };
      const sentAtNs = this.addon.echoSend(ear.fd, this.token, request);
      if (sentAtNs < 0) return refusal(-sentAtNs, 0);
      return await new Promise((done) => {
        const deadline = setTimeout(() => this.giveUp(ear, sequence), timeoutMs);
        this.pending.set(sequence, { address, sentAtNs, deadline, done });
      });
    } catch (error) {
      return { state: 'refused', why: messageOf(error), mtu: null };
    }
  }

  /** Ends all that is pending as lost. */
  close(): void {
    this.isClosed = true;
    for (const sequence of [...this.pending.keys()]) this.finish(sequence, { state: 'lost' });
    for (const { fd, watch, next } of this.ears.values()) {
      clearTimeout(next);
      this.addon.unwatch(watch);
      this.addon.close(fd);
    }
    this.ears.clear();
  }

  private async turn(): Promise<void> {
    const now = performance.now();
    const at = Math.max(now, this.nextAtMs);
    this.nextAtMs = at + 1000 / ECHOES_PER_SECOND;
    if (at > now) await sleep(at - now);
  }

  /** The socket stays right when the device is made anew: it is bound to the address, which the lease gives. */
  private open(family: 4 | 6): Ear {
    const known = this.ears.get(family);
    if (known !== undefined) return known;
    const source = this.sources[family];
    if (!source) throw new Error(`this node has no IPv${family} in the overlay`);
    const { fd } = this.addon.openEcho(family, addressBytes(source));
    try {
      const watch = this.addon.watch(Int32Array.of(fd), () => this.hear(ear));
      const ear: Ear = { fd, watch, next: undefined };
      this.ears.set(family, ear);
      return ear;
    } catch (error) {
      this.addon.close(fd);
      throw error;
    }
  }

  private freeSequence(): number {
    do this.sequence = (this.sequence + 1) % SEQUENCES;
    while (this.pending.has(this.sequence));
    return this.sequence;
  }

  /** What came is taken at once, and what comes then a moment later. */
  private hear(ear: Ear): void {
    if (this.isClosed) return;
    this.collect(ear);
    ear.next = setTimeout(() => this.addon.watchAgain(ear.watch), LOOKS_MS);
  }

  /** It may have come, and not been looked at yet. */
  private giveUp(ear: Ear, sequence: number): void {
    this.collect(ear);
    this.finish(sequence, { state: 'lost' });
  }

  private collect({ fd }: Ear): void {
    const count = this.addon.echoReceive(fd, this.token, this.rows);
    for (let i = 0; i < count; i++) this.take(i * LAYOUT.echoRowDoubles);
  }

  /** A row counts only for the peer that was asked: others may have seen the token. */
  private take(at: number): void {
    const column = (index: number): number => this.rows[at + index] as number;
    const from = [0, 1, 2, 3].map((i) => column(ECHO.address + i)) as unknown as Words;
    const sequence = column(ECHO.sequence);
    const pending = this.pending.get(sequence);
    if (!pending || !sameWords(pending.address, from)) return;
    const errno = column(ECHO.errno);
    const ttl = column(ECHO.ttl);
    const rttMs = Math.max(0, column(ECHO.atNs) - pending.sentAtNs) / 1e6;
    const answer: Echo = {
      state: 'answered',
      rttMs: Math.round(rttMs * 1e4) / 1e4,
      ttl: ttl < 0 ? null : ttl,
      payloadBytes: column(ECHO.payloadBytes),
    };
    this.finish(sequence, errno === 0 ? answer : refusal(errno, column(ECHO.mtu)));
  }

  private finish(sequence: number, result: Echo): void {
    const pending = this.pending.get(sequence);
    this.pending.delete(sequence);
    clearTimeout(pending?.deadline);
    pending?.done(result);
  }
}

function refusal(errno: number, mtu: number): Echo {
  const name = getSystemErrorName(-errno);
  const text: Record<string, string> = {
    EMSGSIZE: 'too large for the way without fragments',
    EHOSTUNREACH: 'host unreachable',
    ENETUNREACH: 'network unreachable',
  };
  const why = text[name] ?? name;
  return { state: 'refused', why, mtu: errno === EMSGSIZE && mtu > 0 ? mtu : null };
}

function taken(device: string): string {
  return `this host has that address itself, on ${device}: packets for the peer stay here`;
}
