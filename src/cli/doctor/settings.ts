/** Which settings to judge: words behind "--" and an environment file, else those of the running daemon, else the defaults. */
import { readFile } from 'node:fs/promises';
import { parseEnvironmentFile } from '../../options/environment-file.ts';
import { parseFlags } from '../../options/flags.ts';
import { environmentName, OPTIONS } from '../../options/options.ts';
import { type Settings, settingsWarnings, toSettings } from '../../options/settings.ts';
import { messageOf } from '../../shared/errors.ts';

/** Where nobody said anything, or nobody may see what was said. */
export const DEFAULTS = 'the defaults';

export interface Judged {
  settings?: Settings;
  /** why there are no settings, '' when there are */
  problem: string;
  warnings: string[];
  /** where they come from, for people */
  origin: string;
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
  const warnings = unknown.map((name) => `${name} is not an option of weftd`);
  try {
    const parsed = parseFlags(words, environment);
    if (parsed.kind !== 'run') return { problem: `--${parsed.kind} only prints`, warnings, origin };
    for (const { text } of [...parsed.warnings, ...settingsWarnings(parsed.values)])
      warnings.push(text);
    return { settings: toSettings(parsed.values, environment), problem: '', warnings, origin };
  } catch (error) {
    return { problem: messageOf(error), warnings, origin };
  }
}

/** The same for a daemon that systemd starts with an environment file; `environment` is what is set besides. */
export function judgeFile(
  words: readonly string[],
  file: { name: string; text: string } | undefined,
  environment: NodeJS.ProcessEnv,
): Judged {
  const { values, problems } = parseEnvironmentFile(file?.text ?? '');
  const sources = [
    ...(words.length > 0 ? ['the flags behind --'] : []),
    ...(file ? [file.name] : []),
  ];
  const origin = sources.join(' and ') || DEFAULTS;
  const judged = judgeSettings(words, { ...environment, ...values }, origin);
  const ignored = problems.map(({ line, text }) => `${file?.name}:${line}: ${text}`);
  return { ...judged, warnings: [...ignored, ...judged.warnings] };
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
