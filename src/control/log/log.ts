/** Logging: text on a terminal, journald levels under systemd, JSON elsewhere; always to stderr, from the control thread only. */
import { fstatSync } from 'node:fs';
import { type Logger, type LoggerOptions, pino, stdTimeFunctions } from 'pino';
import type { LogFormat, LogLevel } from '../../options/options.ts';
import { RepeatLimiter } from '../../shared/repeats.ts';

export type Log = Logger;

/** Fields that never reach a log, at the top or one object down. */
const SECRETS = ['password', 'etcd-password', 'token', 'authorization'];
const REDACTED = SECRETS.flatMap((name) => [`["${name}"]`, `*["${name}"]`]);
/** Of one message: ten in a minute; a flood passes once a minute, with its count. */
const FLOOD = { burst: 10, windowMs: 60_000 };

const LEVEL_WORDS: Record<number, string> = {
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};
const JOURNAL_LEVELS: Record<number, number> = { 20: 7, 30: 6, 40: 4, 50: 3, 60: 2 };

/** A logger to stderr, synchronous: the last line before an end is never lost. */
export function createLog(format: LogFormat, level: LogLevel): Log {
  const journal = format === 'auto' && isJournal();
  const text = format === 'text' || journal || (format === 'auto' && process.stderr.isTTY);
  const options = {
    level,
    base: null,
    redact: REDACTED,
    timestamp: stdTimeFunctions.isoTime,
    hooks: { logMethod: boundRepeats() },
  };
  if (!text) return pino(options, pino.destination({ fd: 2, sync: true }));
  return pino(options, {
    write(line: string): void {
      process.stderr.write(formatLine(line, journal));
    },
  });
}

/** Debug messages are not held back: who asks for them wants all. */
const DEBUG = 20;

/** pino calls it instead of writing; `this` is the logger. */
function boundRepeats(): NonNullable<NonNullable<LoggerOptions['hooks']>['logMethod']> {
  const limiter = new RepeatLimiter(FLOOD);
  return function (args, method, level) {
    const text = args.find((each: unknown) => typeof each === 'string') ?? '';
    const sayHeld = (repeated: number): void => method.apply(this, [{ repeated }, text]);
    // Messages that differ in numbers only are one.
    const key = `${level} ${String(text).replace(/\d+/g, '#')}`;
    if (level <= DEBUG || limiter.passes(key, sayHeld)) method.apply(this, args);
  };
}

/** One JSON line as people read it: time, level, message, then the fields. */
export function formatLine(line: string, journal: boolean): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const rest = Object.entries(fields)
    .map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('');
  if (journal) return `<${JOURNAL_LEVELS[level as number] ?? 6}>${msg}${rest}\n`;
  return `${time} ${LEVEL_WORDS[level as number] ?? level} ${msg}${rest}\n`;
}

/** JOURNAL_STREAM names the device and inode of the stream that systemd connected. */
function isJournal(): boolean {
  const stream = process.env['JOURNAL_STREAM'];
  if (!stream) return false;
  const { dev, ino } = fstatSync(2);
  return stream === `${dev}:${ino}`;
}
