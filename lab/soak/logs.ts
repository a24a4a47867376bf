/** What daemons logged during a soak: no stack of an error, and no more than so much. Pure. */

/** A fault takes some lines on each node; churn and the budget of the log (docs/reference/logs.md) the rest. */
const BYTES_PER_FAULT = 8_000;
const BYTES_PER_MINUTE = 20_000;

const STACK = /^\s+at .*(?::\d+:\d+\)?|<anonymous>\)?)$/m;

/** Returns violations. */
export function judgeLog(name: string, log: string, faults: number, minutes: number): string[] {
  const found: string[] = [];
  const stack = STACK.exec(log);
  if (stack) {
    const before = log.slice(0, stack.index).trimEnd().split('\n').slice(-2).join('\n');
    found.push(`the log of ${name} has the stack of an error:\n${before}\n${stack[0]}`);
  }
  const most = Math.ceil(faults * BYTES_PER_FAULT + minutes * BYTES_PER_MINUTE);
  if (log.length > most)
    found.push(`the log of ${name} has ${log.length} characters, at most ${most}`);
  return found;
}
