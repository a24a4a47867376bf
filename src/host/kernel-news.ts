/**
 * What the kernel announces of this host: links, addresses, routes, rules, nftables. News say where to look, never what is there: they
 * can be lost and come late, so whoever hears them looks for himself.
 */
import type { Addon } from '../memory/addon.ts';
import { ABOUT, NEWS } from '../memory/layout.ts';
import { messageOf } from '../shared/errors.ts';

export type Subject = keyof typeof ABOUT;

export interface News {
  about: Subject;
  /** it is gone; else it is new or has changed */
  gone: boolean;
  /** number of its device, 0 where there is none */
  device: number;
  /** of a route */
  table: number;
  /** of a route: the number of who made it */
  protocol: number;
}

type Kernel = Pick<
  Addon,
  'openNetlink' | 'netlinkReceive' | 'watch' | 'watchAgain' | 'unwatch' | 'close'
>;

const ROWS = 256;
/** In one turn of the event loop; what is left comes in the next. */
const READS_MAX = 16;
const SUBJECTS = Object.keys(ABOUT) as Subject[];

export class KernelNews {
  /** what can't be heard, and why; '' if all can */
  readonly problem: string;
  private readonly kernel: Kernel;
  private readonly hear: (news: readonly News[]) => void;
  private readonly fds: readonly number[];
  private readonly watch: number | undefined;
  private readonly rows = new Int32Array(ROWS * NEWS.rowInts);

  /** From here on `hear` is called with all that changes in this network namespace, until {@link close}. Throws nothing. */
  constructor(kernel: Kernel, hear: (news: readonly News[]) => void) {
    this.kernel = kernel;
    this.hear = hear;
    const fds: number[] = [];
    const problems: string[] = [];
    const open = (what: string, make: () => number): number | undefined => {
      try {
        return make();
      } catch (error) {
        problems.push(`${what} (${messageOf(error)})`);
        return undefined;
      }
    };
    for (const [what, firewall] of [
      ['links, addresses and routes', false],
      ['nftables', true],
    ] as const) {
      const fd = open(what, () => kernel.openNetlink(firewall));
      if (fd !== undefined) fds.push(fd);
    }
    this.fds = fds;
    this.watch = open('anything', () => kernel.watch(Int32Array.from(fds), () => this.read()));
    this.problem = problems.join(', ');
  }

  private read(): void {
    if (this.watch === undefined) return;
    for (const fd of this.fds) this.readFrom(fd);
    this.kernel.watchAgain(this.watch);
  }

  private readFrom(fd: number): void {
    for (let reads = 0; reads < READS_MAX; reads++) {
      const count = this.kernel.netlinkReceive(fd, this.rows);
      if (count <= 0) return;
      this.hear(Array.from({ length: count }, (_, row) => this.newsOf(row)));
      if (count < ROWS) return;
    }
  }

  private newsOf(row: number): News {
    const at = row * NEWS.rowInts;
    const number = (column: number): number => this.rows[at + column] ?? 0;
    return {
      about: SUBJECTS[number(NEWS.about)] ?? 'lost',
      gone: number(NEWS.gone) === 1,
      device: number(NEWS.device),
      table: number(NEWS.table),
      protocol: number(NEWS.protocol),
    };
  }

  close(): void {
    if (this.watch !== undefined) this.kernel.unwatch(this.watch);
    for (const fd of this.fds) this.kernel.close(fd);
  }
}
