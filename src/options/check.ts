/** `weft config check`: everything that is wrong with flags, an environment file and a network config, not only the first fault. */

import { networkConfigKeys, networkConfigProblems } from '../cluster/network-config.ts';
import { messageOf } from '../shared/errors.ts';
import { nearest } from '../shared/nearest.ts';
import { type EnvironmentFile, parseEnvironmentFile } from './environment-file.ts';
import { parseFlags, type Values } from './flags.ts';
import { environmentName, OPTIONS } from './options.ts';
import { settingsWarnings, toSettings } from './settings.ts';

export interface Problem {
  severity: 'error' | 'warning';
  /** "flag", a file with a line, or "network config" */
  where: string;
  /** what is wrong */
  what: string;
  /** what to do */
  advice: string;
}

export interface CheckInput {
  /** as given to weftd */
  flags: readonly string[];
  environmentFile?: { name: string; text: string };
  networkConfig?: { name: string; text: string };
}

const PREFIX = 'FLANNELD_';
/** Faults end the daemon; bad values in the environment are ignored by it, as by flannel, and so are unknown names. */
const FLAG_ADVICE = 'see "weftd --help"';

export function checkConfig(input: CheckInput): Problem[] {
  const { environmentFile, networkConfig } = input;
  const parsed = environmentFile ? parseEnvironmentFile(environmentFile.text) : undefined;
  return [
    ...(parsed && environmentFile ? environmentProblems(environmentFile.name, parsed) : []),
    ...flagProblems(input.flags, parsed, environmentFile?.name),
    ...(networkConfig ? configProblems(networkConfig.name, networkConfig.text) : []),
  ];
}

function environmentProblems(file: string, parsed: EnvironmentFile): Problem[] {
  const known = OPTIONS.map(environmentName);
  const syntax = parsed.problems.map(({ line, text }): Problem => {
    return {
      severity: 'warning',
      where: `${file}:${line}`,
      what: text,
      advice: 'write it as KEY=value',
    };
  });
  const unknown = Object.keys(parsed.values)
    .filter((name) => name.startsWith(PREFIX) && !known.includes(name))
    .map((name): Problem => {
      const meant = nearest(name, known);
      const advice = meant ? `did you mean ${meant}?` : 'see docs/reference/options.md';
      return {
        severity: 'error',
        where: `${file}:${parsed.lines[name]}`,
        what: `nothing reads ${name}`,
        advice,
      };
    });
  return [...syntax, ...unknown];
}

function flagProblems(
  flags: readonly string[],
  file: EnvironmentFile | undefined,
  fileName = '',
): Problem[] {
  const problems: Problem[] = [];
  const add = (severity: Problem['severity'], where: string, what: string, advice: string): void =>
    void problems.push({ severity, where, what, advice });
  const good = usableFlags(flags, (what) => add('error', 'flag', what, FLAG_ADVICE));
  const parsed = parseFlags(good, file?.values ?? {});
  if (parsed.kind !== 'run') return problems;
  const whereOf = (name: string): string => {
    if (parsed.origins[name] !== 'environment' || !file) return 'flag';
    const variable = environmentName({ name });
    return `${fileName}:${file.lines[variable]}`;
  };
  for (const warning of parsed.warnings) {
    const variable = warning.split(':')[0] ?? '';
    const advice = 'weftd reports and ignores it: write a value of that kind';
    add('error', `${fileName}:${file?.lines[variable]}`, warning, advice);
  }
  for (const warning of settingsWarnings(parsed.values))
    add('warning', whereOf(optionsIn(warning)[0] ?? ''), warning, 'remove it');
  for (const message of settingsProblems(parsed.values)) {
    const [name = ''] = optionsIn(message);
    const variable = `in the environment it is ${environmentName({ name })}`;
    add('error', whereOf(name), message, whereOf(name) === 'flag' ? FLAG_ADVICE : variable);
  }
  return problems;
}

/** Flags one by one: those that cannot be parsed are told and left out. */
function usableFlags(flags: readonly string[], tell: (what: string) => void): string[] {
  const good: string[] = [];
  for (let i = 0; i < flags.length; i++) {
    const word = flags[i] as string;
    const name = /^--?([a-z][a-z0-9_-]*)$/.exec(word)?.[1];
    const option = OPTIONS.find((candidate) => candidate.name === name);
    const takesNext = option !== undefined && option.kind !== 'bool' && i + 1 < flags.length;
    const words = takesNext ? [word, flags[++i] as string] : [word];
    try {
      if (!word.startsWith('-'))
        throw new Error(`"${word}" is no flag; weftd ignores it and all behind it`);
      parseFlags(words, {});
      good.push(...words);
    } catch (error) {
      const [given] = /^[^=]*/.exec(word) ?? [''];
      const meant = nearest(
        given.replace(/^-+/, ''),
        OPTIONS.map((each) => each.name),
      );
      const isUnknown = messageOf(error).includes('unknown option');
      const hint = isUnknown && meant ? ` (did you mean --${meant}?)` : '';
      tell(
        messageOf(error)
          .replace(/; see weftd --help$/, '')
          .replace(/\n[\s\S]*$/, '') + hint,
      );
    }
  }
  return good;
}

/** toSettings stops at the first fault: what it names is set to its default, until nothing is left to refuse. */
function settingsProblems(values: Values): string[] {
  const messages = new Set<string>();
  const repaired: Record<string, Values[string]> = { ...values };
  for (let round = 0; round <= OPTIONS.length; round++) {
    try {
      toSettings(repaired);
      break;
    } catch (error) {
      const message = messageOf(error);
      messages.add(message);
      const named = message.startsWith('the Kubernetes store')
        ? ['kube-subnet-mgr']
        : optionsIn(message);
      if (named.length === 0) break;
      for (const option of OPTIONS)
        if (named.includes(option.name)) repaired[option.name] = option.initial;
    }
  }
  return [...messages];
}

/** Names of options that a message speaks of. */
function optionsIn(message: string): string[] {
  return [...message.matchAll(/--([a-z][a-z0-9_-]*)/g)].map((match) => match[1] as string);
}

function configProblems(file: string, text: string): Problem[] {
  const where = `${file} (network config)`;
  const faults = networkConfigProblems(text).map((what): Problem => {
    return {
      severity: 'error',
      where,
      what,
      advice: 'see docs/reference/compatibility.md, "Network config"',
    };
  });
  return [...faults, ...unknownKeys(where, text)];
}

/** flannel and weft ignore keys that they do not know: a typo goes unnoticed. */
function unknownKeys(where: string, text: string): Problem[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return []; // told already
  }
  const keysOf = (value: unknown): string[] =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : [];
  const backend = Object.entries((json ?? {}) as object).find(
    ([key]) => key.toLowerCase() === 'backend',
  )?.[1];
  const told = (keys: readonly string[], known: readonly string[], parent: string): Problem[] =>
    keys
      .filter((key) => !known.some((name) => name.toLowerCase() === key.toLowerCase()))
      .map((key) => {
        const meant = nearest(key, known);
        const advice = meant ? `did you mean ${parent}${meant}?` : 'remove it';
        return { severity: 'warning', where, what: `nothing reads ${parent}${key}`, advice };
      });
  const known = networkConfigKeys();
  return [
    ...told(keysOf(json), known.top, ''),
    ...told(keysOf(backend), known.backend, 'Backend.'),
  ];
}
