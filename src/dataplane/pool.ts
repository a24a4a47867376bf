/**
 * The packet pool and the rows of one worker. Slot i belongs to row i of tunIn, the next ones to udpIn, the last to scratch
 * packets that the worker writes itself (ICMP errors). A slot is in use from the receive that fills it to the end of the same
 * breath, so there is nothing to allocate or free on the packet's way.
 */
import { LAYOUT } from '../memory/layout.ts';

export class Pool {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly tunIn = new Int32Array(LAYOUT.tunInRows * LAYOUT.rowInts);
  readonly udpIn = new Int32Array(LAYOUT.udpInRows * LAYOUT.rowInts);
  readonly tunOut = new Int32Array(LAYOUT.tunOutRows * LAYOUT.rowInts);

  constructor() {
    const memory = new SharedArrayBuffer(LAYOUT.poolSlots * LAYOUT.slotStride);
    this.bytes = new Uint8Array(memory);
    this.view = new DataView(memory);
  }
}

/** First payload byte of a slot; the headroom lies in front of it. */
export function slotAt(slot: number): number {
  return slot * LAYOUT.slotStride + LAYOUT.slotHeadroom;
}

export const SCRATCH_SLOT = LAYOUT.tunInRows + LAYOUT.udpInRows;
