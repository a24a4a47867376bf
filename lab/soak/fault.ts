/** What a fault is: who it hits, how long it may be felt, and how it is done. */
import type { Scene } from './scene.ts';

/** Faults of one group are never done at once. */
export type FaultGroup = 'daemon' | 'store' | 'keys' | 'host' | 'clock' | 'kernel';

/**
 * Whom the schedule may choose. weft: any node with a daemon · mortal: those whose daemon may end (one lives through the whole soak,
 * so that its memory can be judged) · clocked: the one whose clock can be moved · kernel: the stock node · store
 */
export type FaultTarget = 'weft' | 'mortal' | 'clocked' | 'kernel' | 'store';

export interface FaultKind {
  name: string;
  group: FaultGroup;
  target: FaultTarget;
  /** only with this store; default any */
  store?: 'etcd' | 'file';
  /** How long its cause stays, ms: [least, most], drawn by the schedule. */
  heldMs: readonly [number, number];
  /**
   * Whose packets it touches: nobody's, those from and to the target, or those from and to the stock node, which follows the store
   * blindly.
   */
  touches: 'nobody' | 'target' | 'kernel';
  /** True: what it touches may be lost, not only late. */
  loses: boolean;
  /** How long after its cause is gone it may be felt, ms. */
  boundMs: number;
  /** How long after its cause is gone until every daemon says that all is well, ms. */
  healMs: number;
  /** True: it can't be done while the store is away. */
  needsStore?: boolean;
  /** Sees to what the cause needs; once, before all faults. */
  prepare?(scene: Scene): Promise<void>;
  /** Does it, holds it for `heldMs`, undoes it. Its cause is gone when it calls `over`, or else when it resolves. */
  happen(scene: Scene, act: FaultAct): Promise<void>;
}

export interface FaultAct {
  /** number of the target node from 0; -1: the store */
  target: number;
  heldMs: number;
  over(): void;
}
