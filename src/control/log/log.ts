/** Logging: text on a terminal, journald levels under systemd, JSON elsewhere; always to stderr, from the control thread only. */
import { isatty } from 'node:tty';
import { type LogFn, type Logger, pino, stdTimeFunctions } from 'pino';
import type { LogFormat, LogLevel } from '../../options/options.ts';
import {
  FOREIGN_CHARACTERS_MAX,
  MESSAGE_CHARACTERS_MAX,
  printable,
  printableData,
  printableJson,
} from '../../shared/printable.ts';
import { RepeatLimiter } from '../../shared/repeats.ts';
import { isJournal, writeStderr } from '../../shared/stderr.ts';
import { type LeftOut, LineBudget } from './budget.ts';

export type Log = Logger;

/** Fields that never reach a log, at the top or one object down. */
const SECRETS = ['password', 'etcd-password', 'token', 'authorization'];
const REDACTED = SECRETS.flatMap((name) => [`["${name}"]`, `*["${name}"]`]);
/** Of one message: ten in a minute; a flood passes once a minute, with its count. */
const FLOOD = { burst: 10, windowMs: 60_000 };
/** Characters of fields that are ours and may be long; all others are as short as foreign text. */
const LONG_FIELDS: Readonly<Record<string, number>> = { stack: 4_000, store: 300, such: 250 };

const LEVEL_WORDS: Record<number, string> = {
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};
const JOURNAL_LEVELS: Record<number, number> = { 20: 7, 30: 6, 40: 4, 50: 3, 60: 2 };
/** Debug messages are not held back: who asks for them wants all. */
const DEBUG = 20;
const ERROR = 50;
const FATAL = 60;

/** A logger to stderr, synchronous: the last line before an end is never lost. */
export function createLog(format: LogFormat, level: LogLevel): Log {
  const journal = format === 'auto' && isJournal();
  const text = format === 'text' || journal || (format === 'auto' && isatty(2));
  const write = (line: string): void => writeStderr(text ? formatLine(line, journal) : line);
  const log: Log = pino(
    {
      level,
      base: null,
      redact: REDACTED,
      timestamp: stdTimeFunctions.isoTime,
      hooks: { logMethod: boundLines((leftOut) => sayLeftOut(log, leftOut)) },
    },
    { write },
  );
  return log;
}

type LogMethod = (this: Logger, args: Parameters<LogFn>, method: LogFn, level: number) => void;

/** pino calls it instead of writing; `this` is the logger. */
function boundLines(onLeftOut: (leftOut: LeftOut) => void): LogMethod {
  const limiter = new RepeatLimiter(FLOOD);
  let isSummary = false;
  const budget = new LineBudget((leftOut) => {
    isSummary = true;
    onLeftOut(leftOut);
    isSummary = false;
  });
  process.once('exit', () => budget.sayLeftOut());
  return function (args, method, level) {
    const shown = printableArguments(args);
    const write = (fields: Parameters<LogFn>): void => void method.apply(this, fields);
    if (level <= DEBUG || isSummary) return write(shown);
    const text = shown.find((each: unknown) => typeof each === 'string') ?? '';
    // Messages that differ in numbers only are one.
    const key = `${level} ${String(text).replace(/\d+/g, '#')}`;
    const sayHeld = (repeated: number): void => {
      if (budget.passes(level)) write([{ repeated }, text]);
    };
    if (level >= FATAL) budget.sayLeftOut();
    if (level >= FATAL || (limiter.passes(key, sayHeld) && budget.passes(level))) write(shown);
  };
}

/** At the worst level that is concerned, so that whoever sees such lines sees that some are missing. */
function sayLeftOut(log: Log, leftOut: LeftOut): void {
  const counts = [...leftOut].map(([level, count]) => [LEVEL_WORDS[level] ?? level, count]);
  const sum = [...leftOut.values()].reduce((all, count) => all + count, 0);
  const text = `too many log lines at once: ${sum} were left out`;
  log[leftOut.has(ERROR) ? 'error' : 'warn'](Object.fromEntries(counts) as object, text);
}

/** Messages and fields as they may be shown, whoever chose them. */
function printableArguments(args: Parameters<LogFn>): Parameters<LogFn> {
  const shown = (args as unknown[]).map((each, i) => {
    if (typeof each === 'string') return printable(each, MESSAGE_CHARACTERS_MAX);
    return i === 0 && typeof each === 'object' && each !== null ? printableFields(each) : each;
  });
  return shown as Parameters<LogFn>;
}

function printableFields(fields: object): object {
  const shown = Object.entries(fields).map(([name, value]) => [
    name,
    printableData(value as unknown, LONG_FIELDS[name] ?? FOREIGN_CHARACTERS_MAX),
  ]);
  return Object.fromEntries(shown) as object;
}

/** One JSON line as people read it: time, level, message, then the fields. */
export function formatLine(line: string, journal: boolean): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const rest = Object.entries(fields)
    .map(([name, value]) => ` ${name}=${fieldText(value)}`)
    .join('');
  if (journal) return `<${JOURNAL_LEVELS[level as number] ?? 6}>${msg}${rest}\n`;
  return `${time} ${LEVEL_WORDS[level as number] ?? level} ${msg}${rest}\n`;
}

/** A value with blanks in it must not look like further fields. */
function fieldText(value: unknown): string {
  return typeof value === 'string' && !/[\s"=]/.test(value) ? value : printableJson(value);
}
