/** An environment file as systemd reads it (systemd.exec(5), EnvironmentFile=): KEY=value, quotes, comments, "\" continues a line. */

export interface EnvironmentFile {
  values: Record<string, string>;
  /** line on which each variable is set, counted from 1 */
  lines: Record<string, number>;
  problems: { line: number; text: string }[];
}

export function parseEnvironmentFile(text: string): EnvironmentFile {
  const found: EnvironmentFile = { values: {}, lines: {}, problems: [] };
  const lines = text.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const first = i + 1;
    let line = lines[i] as string;
    if (/^\s*([#;]|$)/.test(line)) continue;
    while (line.endsWith('\\') && i + 1 < lines.length) line = line.slice(0, -1) + lines[++i];
    // A value in quotes may go on over lines.
    while (hasOpenQuote(line) && i + 1 < lines.length) line += `\n${lines[++i]}`;
    take(found, line, first);
  }
  return found;
}

function take(found: EnvironmentFile, line: string, at: number): void {
  const [, name, raw = ''] = /^\s*([^=]*?)\s*=([\s\S]*)$/.exec(line) ?? [];
  const fault = faultOf(name);
  if (fault !== '' || name === undefined) {
    found.problems.push({ line: at, text: `${fault}; systemd ignores the line` });
    return;
  }
  const warn = (text: string): void => void found.problems.push({ line: at, text });
  if (hasOpenQuote(line)) warn(`the quote in ${name} is not closed`);
  if (name in found.lines)
    warn(`${name} is set twice (also on line ${found.lines[name]}); this one counts`);
  found.values[name] = unquoted(raw);
  found.lines[name] = at;
}

/** Why a line sets nothing, '' when it does. */
function faultOf(name: string | undefined): string {
  if (name === undefined) return 'no KEY=value';
  if (/^export\s/.test(name)) return '"export" is for shells';
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? '' : `"${name}" is no variable name`;
}

/** Quotes are taken off, blanks around an unquoted value too; a "\" in front of a character is taken off outside single quotes. */
function unquoted(raw: string): string {
  const parts = raw.trim().match(/'[^']*'|"(?:\\[\s\S]|[^"\\])*"|\\[\s\S]|[^'"\\]+|['"\\]/g) ?? [];
  return parts
    .map((part) => {
      if (/^'[^']*'$/.test(part)) return part.slice(1, -1);
      if (/^"[\s\S]*"$/.test(part) && part.length > 1)
        return part.slice(1, -1).replace(/\\(["\\`$])/g, '$1');
      return part.length === 2 && part.startsWith('\\') ? (part[1] as string) : part;
    })
    .join('');
}

function hasOpenQuote(line: string): boolean {
  const value = line.slice(line.indexOf('=') + 1);
  const closed = value.replace(/\\[\s\S]|'[^']*'|"(?:\\[\s\S]|[^"\\])*"/g, '');
  return /^\s*['"]/.test(closed) && /['"]/.test(closed);
}
