/**
 * What all commands that show something have in common: --json, --watch, --color, --admin-socket, and that nothing is shown that
 * does not have the promised shape.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type * as z from 'zod';
import { EXIT, WeftError } from '../shared/errors.ts';
import { printableData, printableJson } from '../shared/printable.ts';
import { fetchPage } from './client.ts';
import { type ColorChoice, chooseStyle, type Style } from './style.ts';

export const ADMIN_SOCKET = '/run/weft/weft.sock';
const WATCH_SECONDS = 2;
const CLEAR = '\u001b[H\u001b[2J\u001b[3J';

/** The options that {@link addShow} gives to every command. */
export interface ShowOptions {
  json?: boolean;
  /** true without a value */
  watch?: number | true;
  color: ColorChoice;
  adminSocket: string;
}

/** Gets what commands end with. */
export type OnExit = (code: number) => void;

/** One command: where its answer comes from, what shape that has, how people read it. */
export interface Show<Shape extends z.ZodType, Extra extends object = object> {
  name: string;
  description: string;
  /** commander's notation: "<address>", "[peer]" */
  argument?: readonly [notation: string, description: string];
  /** adds options of its own */
  options?: (command: Command) => Command;
  /** text under the options of --help */
  help?: string;
  /** the promised shape of --json, which only checks: unknown keys are passed on */
  shape: Shape;
  /** the answer; most commands take it from the daemon. `words`: all arguments, for a notation like "[flags...]" */
  answer: (
    options: ShowOptions & Extra,
    argument: string | undefined,
    words: readonly string[],
  ) => Promise<unknown>;
  /** for people; without a line end */
  render: (answer: z.infer<Shape>, style: Style, nowMs: number) => string;
  /** 0 unless said otherwise */
  exitCode?: (answer: z.infer<Shape>) => 0 | 1;
}

/** The promised shape of each command's --json. */
const shapes = new WeakMap<Command, z.ZodType>();

/** Writes down what a command's --json promises; addShow does it for its own. */
export function promiseShape(command: Command, shape: z.ZodType): void {
  shapes.set(command, shape);
}

/** What a command's --json promises; undefined where there is none. */
export function shapeOf(command: Command): z.ZodType | undefined {
  return shapes.get(command);
}

/** Adds a command that shows something. */
export function addShow<Shape extends z.ZodType, Extra extends object = object>(
  program: Command,
  onExit: OnExit,
  show: Show<Shape, Extra>,
): Command {
  const command = addShowOptions(program.command(show.name).description(show.description));
  promiseShape(command, show.shape);
  if (show.argument) command.argument(...show.argument);
  show.options?.(command);
  if (show.help) command.addHelpText('after', `\n${show.help}`);
  command.action(async (...words: unknown[]) => {
    const argument = show.argument ? (words[0] as string | undefined) : undefined;
    const options = command.opts<ShowOptions & Extra>();
    for (let round = 0; ; round++) {
      const answer = checked(
        show.name,
        show.shape,
        await show.answer(options, argument, command.args),
      );
      process.stdout.write(textOf(show, answer, options, round));
      onExit(show.exitCode?.(answer) ?? 0);
      if (options.watch === undefined) return;
      await sleep((options.watch === true ? WATCH_SECONDS : options.watch) * 1000);
    }
  });
  return command;
}

function addShowOptions(command: Command): Command {
  return command
    .option('--json', 'JSON with a stable schema; with --watch one object a line')
    .option('--watch [seconds]', `repeat every ${WATCH_SECONDS} seconds`, parseSeconds)
    .addOption(colorOption())
    .addOption(adminSocketOption())
    .exitOverride();
}

export function colorOption(): Option {
  const option = new Option('--color <when>', 'colours').choices(['auto', 'always', 'never']);
  return option.default('auto');
}

export function adminSocketOption(): Option {
  return new Option('--admin-socket <path>', "the daemon's socket").default(ADMIN_SOCKET);
}

/** Fetches a page of the daemon, to be shown, and checks its shape. Keys that the shape does not have stay in the answer. */
export async function fetchShape<Shape extends z.ZodType>(
  socket: string,
  page: string,
  shape: Shape,
  timeoutMs?: number,
): Promise<z.infer<Shape>> {
  return checked(page, shape, printableData(await fetchPage(socket, page, timeoutMs)));
}

function checked<Shape extends z.ZodType>(
  what: string,
  shape: Shape,
  answer: unknown,
): z.infer<Shape> {
  const parsed = shape.safeParse(answer);
  // Not the parsed copy: that has only the keys of the shape.
  if (parsed.success) return answer as z.infer<Shape>;
  const [issue] = parsed.error.issues;
  const message = `${what}: the answer does not match its schema (${issue?.path.join('.')}: ${issue?.message}); are weft and weftd the same version?`;
  throw new WeftError('ERR_ANSWER', EXIT.failure, message);
}

function textOf<Shape extends z.ZodType>(
  show: Pick<Show<Shape>, 'render'>,
  answer: z.infer<Shape>,
  options: ShowOptions,
  round: number,
): string {
  if (options.json) return `${printableJson(answer)}\n`;
  const style = chooseStyle(options.color, process.stdout);
  const text = `${show.render(printableData(answer), style, Date.now())}\n`;
  if (options.watch === undefined) return text;
  if (process.stdout.isTTY) return `${CLEAR}${text}`;
  return round === 0 ? text : `\n${text}`;
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (seconds >= 0.1 && seconds <= 86_400) return seconds;
  throw new InvalidArgumentError('It must be from 0.1 to 86400.');
}
