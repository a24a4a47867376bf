/**
 * Descriptors that outlive the process: the service manager (systemd) keeps a copy of each under a name and hands all of them to the
 * next process, so that device, queues and what waits in them survive a restart and a crash. Without a service manager every call
 * here does nothing but keep and close what it is given.
 */
import type { Addon } from '../../memory/addon.ts';
import { FDS_MAX } from '../../shared/limits.ts';

const FIRST_FD = 3;

/** What it needs of the native layer. */
type Descriptors = Pick<Addon, 'tunDevice' | 'persistTun' | 'close' | 'notify'>;

export class FdStore {
  /** true with a service manager: what {@link keep} got is there for the next process */
  readonly outlivesUs: boolean;
  private readonly addon: Descriptors;
  /** what nobody has adopted yet, by name */
  private readonly waiting = new Map<string, number>();

  constructor(addon: Descriptors, outlivesUs: boolean) {
    this.addon = addon;
    this.outlivesUs = outlivesUs;
  }

  /**
   * What the process before left; call it once, before anything else is opened. The variables are removed, so that no child takes
   * our descriptors for its own.
   */
  static fromEnvironment(addon: Descriptors, environment: NodeJS.ProcessEnv): FdStore {
    const { LISTEN_PID: pid, LISTEN_FDS: count, LISTEN_FDNAMES: names } = environment;
    for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete environment[name];
    const store = new FdStore(addon, (environment['NOTIFY_SOCKET'] ?? '') !== '');
    if (pid !== `${process.pid}` || !/^\d{1,4}$/.test(count ?? '')) return store;
    const named = (names ?? '').split(':');
    for (let i = 0; i < Math.min(Number(count), FDS_MAX); i++) {
      store.giveBack(named[i] ?? '', FIRST_FD + i);
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

  /** Gives the service manager a copy for the next process. FDPOLL=0: an error on the socket is no reason to drop it. */
  keep(name: string, fd: number): void {
    this.tell(`FDSTORE=1\nFDNAME=${name}\nFDPOLL=0`, fd);
  }

  /** An adopted descriptor waits again, to be adopted once more by this process. */
  giveBack(name: string, fd: number): void {
    if (this.waiting.has(name)) this.addon.close(fd);
    else this.waiting.set(name, fd);
  }

  /** Closes what nobody adopted, here and in the service manager; a TUN device goes with its last queue. Returns the names. */
  discardRest(): string[] {
    const names = [...this.waiting.keys()];
    for (const [name, fd] of this.waiting) this.discard(name, fd);
    this.waiting.clear();
    return names;
  }

  private discard(name: string, fd: number): void {
    if (this.addon.tunDevice(fd) !== '') this.addon.persistTun(fd, false);
    this.addon.close(fd);
    this.tell(`FDSTOREREMOVE=1\nFDNAME=${name}`);
  }

  /** A service manager that does not listen is no reason to stop: then nothing outlives us, as without one. */
  private tell(state: string, fd?: number): void {
    try {
      this.addon.notify(state, fd);
    } catch {
      // Notifier says it, with its first message.
    }
  }
}
