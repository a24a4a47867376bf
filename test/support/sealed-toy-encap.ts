/** The toy encapsulation, encrypted by the test seal of the sanitizer build. */
import type { Addon } from '../../src/memory/addon.ts';
import { ToyEncap } from './toy-encap.ts';

/** The sanitizer build's addon: its test seal encrypts a link, header and all. */
export interface SealingAddon extends Addon {
  sealLink(engine: number, link: number, key: number): void;
}

const KEY = 7;
/** What native/test/test-seal.c adds at least: counter and tag. */
const SEAL_TAIL_BYTES = 16;

export class SealedToyEncap extends ToyEncap {
  override readonly tailBytes = SEAL_TAIL_BYTES;

  seal(addon: Addon, engine: number, link: number): void {
    (addon as SealingAddon).sealLink(engine, link, KEY);
  }
}
