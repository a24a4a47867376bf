/**
 * A shortcut carries part of the traffic past the workers, by the control thread's decision. Rules for all of them:
 *   - a packet that is odd in any way goes to the workers, which judge and count;
 *   - it is switched on for a peer by a probe that really went through, and off by the next one that did not;
 *   - what it carries is in {@link Shortcut.totals} and {@link Shortcut.perPeer}, which are added to the workers': no packet leaves
 *     the books;
 *   - its descriptors belong to the control thread, so that its death ends the shortcut, not the traffic.
 */
import type { Peer } from '../../cluster/peers.ts';
import type { News } from '../../host/kernel-news.ts';
import type { Totals } from '../../memory/counters.ts';
import type { LinkTask } from '../../memory/worker-task.ts';
import type { Words } from '../../shared/address.ts';
import type { PeerTotals } from '../observe/peer-ledger.ts';
import type { TableSink } from './table-sink.ts';

/** For status: what it found out about the ways to peers. */
export interface ShortcutSummary {
  name: string;
  /** its own device */
  device: string;
  /** devices towards peers that were looked at: may they be used, and why not */
  egress: readonly { device: string; usable: boolean; why: string }[];
  /** how many peers it carries packets of; absent where their marks tell */
  peers?: number;
  /** why it carries nothing, '' when it carries something; absent where that is said for each device only */
  why?: string;
}

export interface Shortcut {
  /** as in FEATURE and --offload */
  readonly name: string;
  /** FEATURE bits that its links have besides */
  readonly features: number;
  /** its own table of peers, where it has one */
  readonly table?: TableSink;
  /** This node's links as the workers get them; before anything else, and again after a move. */
  begin(links: readonly LinkTask[]): void;
  /** A worker's link with what it needs to use this shortcut. */
  equip(link: LinkTask, worker: number): LinkTask;
  /** Whether it is time to look again at the ways to the peers that {@link recall} was asked about; `nowMs` by the monotonic clock. */
  isDue(nowMs: number): boolean;
  /** The same peer, marked as the last look found it: at once, without asking the host. */
  recall(peer: Peer): Peer;
  /** Looks at the host. Of all peers, it answers those that {@link recall} may mark otherwise from now on. */
  look(peers: readonly Peer[]): Promise<readonly Peer[]>;
  /** The kernel announced something: what a look found may have ended. */
  hear?(news: readonly News[]): void;
  /** From here on all that the kernel announces comes to {@link hear}. */
  listen?(): void;
  /** These are the host's addresses now: no peer speaks for one of them. */
  guard?(addresses: readonly Words[]): void;
  /** Somebody looks at packets, or no more: meanwhile all go through the workers. */
  watch?(isWatched: boolean): void;
  /** What went past the workers since it was opened; undefined where they count its packets themselves. */
  totals(): Totals | undefined;
  /** Of these, for the peer that has this slot now. */
  perPeer?(slot: number): PeerTotals;
  summary(): ShortcutSummary;
  /** It carries nothing any more, and can still say what it carried. */
  close(): Promise<void>;
}
