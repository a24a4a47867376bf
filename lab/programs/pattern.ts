/** Pseudo-random bytes that both ends of a transfer can make from the same seed. */
import { type Cipher, createCipheriv, createHash } from 'node:crypto';

/** A stream of bytes: AES-CTR over zeros, keyed by the seed; fast and the same everywhere. */
export class Pattern {
  readonly #cipher: Cipher;

  constructor(seed: number) {
    const key = createHash('sha256').update(`weft lab ${seed}`).digest().subarray(0, 16);
    this.#cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  }

  /** The next `length` bytes. */
  next(length: number): Buffer {
    return this.#cipher.update(Buffer.alloc(length));
  }
}
