/** Says on stderr what is going on: one line that rewrites itself on a terminal, plain lines elsewhere. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  /** Shows the current step. */
  step(text: string): void {
    if (this.#stream.isTTY)
      this.#stream.write(`\r\x1b[2K${text.slice(0, (this.#stream.columns || 80) - 1)}`);
    else this.#stream.write(`${text}\n`);
  }

  /** Removes the rewriting line before other output. */
  clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\x1b[2K');
  }
}
