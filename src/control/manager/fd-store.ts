/**
 * Descriptors that outlive the process: systemd or weft-keeper keeps a copy of each under a name and hands all of them to the next
 * process, so that device, queues and what waits in them survive a restart and a crash. Without a keeper every call here does nothing but
 * keep and close what it is given.
 */
import { statSync } from 'node:fs';
import type { Addon } from '../../memory/addon.ts';
import { FDS_MAX } from '../../shared/limits.ts';

const FIRST_FD = 3;
/** A keeper that does not read holds us up for a second each time it is told something. */
const LOOKS_BETWEEN_TRIES = 10;

/** What it needs of the native layer. */
type Descriptors = Pick<Addon, 'tunDevice' | 'persistTun' | 'close' | 'notify'>;

/** Who keeps them. */
export interface Keeper {
  /** where it listens: a path, or "@" and an abstract name */
  socket: string;
  /** a service manager; weft-keeper only keeps, and whoever else starts us waits longer with each time */
  startsUsAgain: boolean;
}

export class FdStore {
  /** what {@link keep} got is there for the next process */
  readonly outlivesUs: boolean;
  readonly startsUsAgain: boolean;
  /** true: the next daemon is one of this process, and a data plane that ends gives its ports back */
  nextIsHere = false;
  private readonly addon: Descriptors;
  private readonly socket: string;
  private seen: string;
  /** what nobody has adopted yet, by name */
  private readonly waiting = new Map<string, number>();
  /** what the keeper should have a copy of, by name */
  private readonly kept = new Map<string, number>();
  /** names of which the keeper may not know the newest: it did not read */
  private readonly untold = new Set<string>();
  private looksUntilTry = 0;

  constructor(addon: Descriptors, keeper?: Keeper) {
    this.addon = addon;
    this.outlivesUs = keeper !== undefined;
    this.startsUsAgain = keeper?.startsUsAgain === true;
    this.socket = keeper?.socket ?? '';
    this.seen = socketIdentity(this.socket);
  }

  /**
   * What the process before left; call it once, before anything else is opened. The variables are removed, so that no child takes
   * our descriptors for its own.
   */
  static fromEnvironment(addon: Descriptors, environment: NodeJS.ProcessEnv): FdStore {
    const { LISTEN_PID: pid, LISTEN_FDS: count, LISTEN_FDNAMES: names } = environment;
    for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete environment[name];
    const { NOTIFY_SOCKET: socket = '', WEFT_KEEPER: onlyKeeps } = environment;
    const keeper = { socket, startsUsAgain: onlyKeeps !== '1' };
    const store = new FdStore(addon, socket === '' ? undefined : keeper);
    if (pid !== `${process.pid}` || !/^\d{1,4}$/.test(count ?? '')) return store;
    const named = (names ?? '').split(':');
    for (let i = 0; i < Math.min(Number(count), FDS_MAX); i++) {
      const name = named[i] ?? '';
      // A second one of the same name is closed.
      if (!store.kept.has(name)) store.kept.set(name, FIRST_FD + i);
      store.giveBack(name, FIRST_FD + i);
    }
    return store;
  }

  /** TUN devices of which we hold a queue that nobody has adopted yet. */
  devices(): Set<string> {
    const names = [...this.waiting.values()].map((fd) => this.addon.tunDevice(fd));
    return new Set(names.filter((name) => name !== ''));
  }

  /** The result of `take` with the descriptor of that name; undefined when there is none or `take` throws, because it does not fit. */
  adopt<T>(name: string, take: (fd: number) => T): T | undefined {
    const fd = this.waiting.get(name);
    if (fd === undefined) return undefined;
    this.waiting.delete(name);
    try {
      return take(fd);
    } catch {
      this.discard(name, fd);
      return undefined;
    }
  }

  /** Gives the keeper a copy for the next process. */
  keep(name: string, fd: number): void {
    this.kept.set(name, fd);
    this.tell(name, addition(name), fd);
  }

  /**
   * A keeper that was started anew has nothing: it gets all again. One that did not read gets what it missed. Cheap; to be called every
   * second.
   */
  keepAgain(): void {
    const identity = socketIdentity(this.socket);
    if (identity === '' || identity === this.seen) {
      if (this.untold.size > 0 && --this.looksUntilTry <= 0) this.tellAgain();
      return;
    }
    this.seen = identity;
    this.untold.clear();
    for (const [name, fd] of this.kept) this.keep(name, fd);
  }

  /** An adopted descriptor waits again, to be adopted once more by this process. */
  giveBack(name: string, fd: number): void {
    if (this.waiting.has(name)) this.addon.close(fd);
    else this.waiting.set(name, fd);
  }

  /** Closes what nobody adopted, here and in the keeper; a TUN device goes with its last queue. Returns the names. */
  discardRest(): string[] {
    const names = [...this.waiting.keys()];
    for (const [name, fd] of this.waiting) this.discard(name, fd);
    this.waiting.clear();
    return names;
  }

  private discard(name: string, fd: number): void {
    if (this.addon.tunDevice(fd) !== '') this.addon.persistTun(fd, false);
    this.addon.close(fd);
    this.kept.delete(name);
    this.tell(name, removal(name));
  }

  /**
   * A keeper that does not listen is no reason to stop: then nothing outlives us, as without one. False where it did not read: it is to be
   * told again.
   */
  private tell(name: string, state: string, fd?: number): boolean {
    try {
      this.addon.notify(state, fd);
    } catch (error) {
      // Notifier says it, with its first message.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return true;
      this.untold.add(name);
      this.looksUntilTry = LOOKS_BETWEEN_TRIES;
      return false;
    }
    return true;
  }

  private tellAgain(): void {
    for (const name of this.untold) {
      // It may have an earlier one of this name, in which packets would wait for ever.
      if (!this.tell(name, removal(name))) return;
      const fd = this.kept.get(name);
      if (fd !== undefined && !this.tell(name, addition(name), fd)) return;
      this.untold.delete(name);
    }
  }
}

/** FDPOLL=0: an error on the socket is no reason to drop it. */
function addition(name: string): string {
  return `FDSTORE=1\nFDNAME=${name}\nFDPOLL=0`;
}

function removal(name: string): string {
  return `FDSTOREREMOVE=1\nFDNAME=${name}`;
}

/** Another one for each socket that is bound to this path; '' where there is none. */
function socketIdentity(socket: string): string {
  if (!socket.startsWith('/')) return '';
  try {
    const { ino, ctimeMs } = statSync(socket);
    return `${ino} ${ctimeMs}`;
  } catch {
    return '';
  }
}
