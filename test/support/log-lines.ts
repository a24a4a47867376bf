/** A log that keeps its messages, for tests. */
import { pino } from 'pino';
import type { Log } from '../../src/control/log/log.ts';

export function keepLog(): { log: Log; messages: string[] } {
  const messages: string[] = [];
  const log = pino(
    { level: 'debug' },
    { write: (line: string) => messages.push((JSON.parse(line) as { msg: string }).msg) },
  );
  return { log, messages };
}
