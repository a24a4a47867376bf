/**
 * An environment file as systemd reads it (systemd.exec(5), EnvironmentFile=): KEY=value, comments behind "#" and ";". A value may
 * begin with parts in quotes, which go on over lines; in what follows quotes mean nothing, and "\" keeps the next character or, at
 * the end of a line, joins the next one to it.
 */
import { printable } from '../shared/printable.ts';

export interface EnvironmentFile {
  values: Record<string, string>;
  /** line on which each variable is set, counted from 1 */
  lines: Record<string, number>;
  problems: { line: number; text: string }[];
}

/** What the file is made of; each is tried where the one before ended. BLANK and PLAIN always match, if nothing. */
const BLANK = /(?:[ \t\n\r]|[#;][^\n\r]*)*/y;
const KEY = /[^\n\r][^=\n\r]*/y;
const SINGLE_QUOTED = /[ \t]*'([^']*)('|$)/y;
const DOUBLE_QUOTED = /[ \t]*"((?:\\[\s\S]|[^"\\])*)("|\\?$)/y;
const PLAIN = /[ \t]*((?:\\[\s\S]|[^\\\n\r])*?)(?:[ \t]*(?=[\n\r]|$)|\\$)/y;

type Take = (pattern: RegExp) => RegExpExecArray | null;

interface ValueRead {
  value: string;
  isClosed: boolean;
}

export function parseEnvironmentFile(text: string): EnvironmentFile {
  const found: EnvironmentFile = { values: {}, lines: {}, problems: [] };
  let at = 0;
  const take: Take = (pattern) => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    at += match?.[0].length ?? 0;
    return match;
  };
  for (take(BLANK); at < text.length; take(BLANK)) {
    const line = text.slice(0, at).split('\n').length;
    const key = take(KEY)?.[0] ?? '';
    const hasValue = text[at] === '=';
    if (hasValue) at++;
    const read = hasValue ? takeValue(take) : undefined;
    add(found, line, key.trimEnd(), read);
  }
  return found;
}

function takeValue(take: Take): ValueRead {
  let value = '';
  for (;;) {
    const single = take(SINGLE_QUOTED);
    const quoted = single ?? take(DOUBLE_QUOTED);
    if (!quoted) return { value: value + unescaped(take(PLAIN)?.[1] ?? ''), isClosed: true };
    const [, body = '', end = ''] = quoted;
    value += single ? body : unescapedInQuotes(body);
    if (!/['"]/.test(end)) return { value, isClosed: false };
  }
}

function unescaped(text: string): string {
  return text.replace(/\\([\s\S])/g, (_, next: string) => (/[\n\r]/.test(next) ? '' : next));
}

/** As in a shell: only these characters need the "\", and in front of others it stays. */
function unescapedInQuotes(text: string): string {
  return text.replace(/\\([\s\S])/g, (both: string, next: string) => {
    if (next === '\n') return '';
    return '"\\`$'.includes(next) ? next : both;
  });
}

function add(found: EnvironmentFile, line: number, name: string, read?: ValueRead): void {
  const warn = (text: string): void => void found.problems.push({ line, text });
  const fault = read ? faultOf(name) : 'not KEY=value';
  if (!read || fault !== '') {
    warn(`${fault}; systemd ignores the line`);
    return;
  }
  if (!read.isClosed) warn(`the quote in ${name} is not closed`);
  if (Object.hasOwn(found.lines, name))
    warn(`${name} is set twice (also on line ${found.lines[name]}); this one counts`);
  found.values[name] = read.value;
  found.lines[name] = line;
}

/** Why systemd does not take the name, '' when it does. */
function faultOf(name: string): string {
  if (/^export\s/.test(name)) return '"export" is for shells';
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? '' : `"${printable(name)}" is not a variable name`;
}
