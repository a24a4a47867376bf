/** Which settings to judge: words behind "--" and an environment file, else those of the running daemon, else the defaults. */
import { readFile } from 'node:fs/promises';
import { parseFlags } from '../../options/flags.ts';
import { environmentName, OPTIONS } from '../../options/options.ts';
import { type Settings, settingsWarnings, toSettings } from '../../options/settings.ts';
import { messageOf } from '../../shared/errors.ts';

export interface Judged {
  settings?: Settings;
  /** why there are no settings, '' when there are */
  problem: string;
  warnings: string[];
  /** where they come from, for people */
  origin: string;
}

/** systemd's EnvironmentFile: NAME=value, quotes and comments allowed. */
export function parseEnvironmentFile(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = /^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*?)\s*$/.exec(line);
    if (match) found[match[1] as string] = (match[2] as string).replace(/^(["'])(.*)\1$/, '$2');
  }
  return found;
}

/** What the daemon would make of these flags and variables. */
export function judgeSettings(
  words: readonly string[],
  environment: NodeJS.ProcessEnv,
  origin: string,
): Judged {
  const known = new Set(OPTIONS.map(environmentName));
  const unknown = Object.keys(environment).filter(
    (name) => name.startsWith('FLANNELD_') && !known.has(name),
  );
  const warnings = unknown.map((name) => `${name} is no option of weftd`);
  try {
    const parsed = parseFlags(words, environment);
    if (parsed.kind !== 'run') return { problem: `--${parsed.kind} only tells`, warnings, origin };
    warnings.push(...parsed.warnings, ...settingsWarnings(parsed.values));
    return { settings: toSettings(parsed.values), problem: '', warnings, origin };
  } catch (error) {
    return { problem: messageOf(error), warnings, origin };
  }
}

/** The flags and variables that a running weftd got; undefined where they can't be read. */
export async function settingsOfProcess(pid: number): Promise<Judged | undefined> {
  try {
    const read = async (name: string): Promise<string[]> =>
      (await readFile(`/proc/${pid}/${name}`, 'utf8')).split('\0').filter(Boolean);
    const line = await read('cmdline');
    const at = line.findIndex((word) => /(^|\/)weftd$/.test(word));
    if (at < 0) return undefined;
    const pairs = (await read('environ')).map((text) => text.split(/=(.*)/s, 2));
    return judgeSettings(line.slice(at + 1), Object.fromEntries(pairs), `weftd, process ${pid}`);
  } catch {
    return undefined;
  }
}
