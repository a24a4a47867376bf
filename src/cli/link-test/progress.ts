/** How far the test is: a bar on a terminal, one line for each step elsewhere. Always on stderr. */
import { SingleBar } from 'cli-progress';

export class BenchProgress {
  readonly #stream: NodeJS.WriteStream;
  readonly #total: number;
  readonly #bar: SingleBar | undefined;
  #begun = 0;

  constructor(total: number, stream: NodeJS.WriteStream = process.stderr) {
    this.#total = total;
    this.#stream = stream;
    if (!stream.isTTY) return;
    const format = '{bar} {value}/{total} {text}';
    // Signals are the command's business: it stops the bar, which brings the cursor back, on every way out.
    this.#bar = new SingleBar({
      format,
      stream,
      barsize: 20,
      hideCursor: true,
      clearOnComplete: true,
      gracefulExit: false,
    });
    this.#bar.start(total, 0, { text: '' });
  }

  /** The next step begins. */
  step(text: string): void {
    if (this.#bar) this.#bar.update(this.#begun, { text });
    else this.#stream.write(`[${this.#begun + 1}/${this.#total}] ${text}\n`);
    this.#begun++;
  }

  /** Leaves the terminal as it was. */
  stop(): void {
    this.#bar?.stop();
  }
}
