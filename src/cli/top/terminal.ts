/**
 * The terminal while `weft top` has it: alternate screen, no cursor, keys as they are pressed. Whatever ends the program, the
 * terminal is as before.
 */
import { widthOf } from '../render.ts';
import type { Size } from './render.ts';

const ENTER = '\u001b[?1049h\u001b[?25l\u001b[?7l';
const LEAVE = '\u001b[?7h\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_TO_LINE_END = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
const SIZE: Size = { columns: 80, rows: 24 };

export type Key = 'quit' | 'space' | 'left' | 'right' | 'sort';

const KEYS: Readonly<Record<string, Key>> = {
  q: 'quit',
  Q: 'quit',
  '\u0003': 'quit',
  ' ': 'space',
  s: 'sort',
  '\u001b[D': 'left',
  '\u001bOD': 'left',
  '\u001b[C': 'right',
  '\u001bOC': 'right',
};

/** The keys in what was typed; everything else is nothing. */
export function keysOf(typed: string): Key[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences consist of them
  const parts = typed.match(/\u001b[[O][0-9;]*[A-Za-z~]|[\s\S]/g) ?? [];
  return parts.flatMap((part) => KEYS[part] ?? []);
}

/** Opened by {@link Terminal.open}, closed by {@link close} or by the end of the process. */
export class Terminal {
  private readonly input: NodeJS.ReadStream;
  private readonly output: NodeJS.WriteStream;
  private readonly onData: (typed: Buffer) => void;
  private readonly onResize: () => void;
  private isOpen = true;
  private readonly restore = (): void => this.close();

  private constructor(onKey: (key: Key) => void, onResize: () => void) {
    this.input = process.stdin;
    this.output = process.stdout;
    this.onData = (typed) => keysOf(typed.toString('utf8')).forEach(onKey);
    this.onResize = onResize;
  }

  static open(onKey: (key: Key) => void, onResize: () => void): Terminal {
    const terminal = new Terminal(onKey, onResize);
    terminal.enter();
    return terminal;
  }

  get size(): Size {
    const { columns, rows } = this.output;
    return { columns: columns || SIZE.columns, rows: rows || SIZE.rows };
  }

  /** Draws over the last frame, without a flash. */
  draw(frame: string): void {
    if (!this.isOpen) return;
    // A line that fills the screen leaves the cursor on its last column, where clearing would take a character away.
    const { columns } = this.size;
    const lines = frame
      .split('\n')
      .map((line) => (widthOf(line) < columns ? `${line}${CLEAR_TO_LINE_END}` : line));
    this.output.write(`${HOME}${lines.join('\r\n')}${CLEAR_BELOW}`);
  }

  /** Gives the terminal back. May be called again. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    process.off('exit', this.restore).off('uncaughtExceptionMonitor', this.restore);
    this.output.off('resize', this.onResize);
    this.input.off('data', this.onData);
    if (this.input.isTTY) this.input.setRawMode(false);
    this.input.pause();
    this.output.write(LEAVE);
  }

  /**
   * Signals end the loop in the command. Exceptions, and a reader that went away, end the process: "exit" comes always; the monitor
   * comes before the exception is printed, so that it can be read.
   */
  private enter(): void {
    process.on('exit', this.restore).on('uncaughtExceptionMonitor', this.restore);
    this.output.write(ENTER);
    if (this.input.isTTY) this.input.setRawMode(true);
    this.input.on('data', this.onData);
    this.input.resume();
    this.output.on('resize', this.onResize);
  }
}
