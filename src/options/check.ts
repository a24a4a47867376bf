/** `weft config check`: everything that is wrong with flags, an environment file and a network config, not only the first fault. */

import { networkConfigKeys, networkConfigProblems } from '../cluster/network-config.ts';
import { messageOf, WeftError } from '../shared/errors.ts';
import { nearest } from '../shared/nearest.ts';
import { printable } from '../shared/printable.ts';
import { type EnvironmentFile, parseEnvironmentFile } from './environment-file.ts';
import { parseFlags, SEE_HELP, type Values } from './flags.ts';
import { environmentName, OPTIONS } from './options.ts';
import { type Environment, settingsWarnings, toSettings } from './settings.ts';

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
        what: `nothing reads ${printable(name)}`,
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
  const bad = flagsOneByOne(flags);
  const parsed = parseFlags(bad.usable, file?.values ?? {});
  if (parsed.kind !== 'run') return bad.problems;
  const lineOf = (name: string): string => `${fileName}:${file?.lines[environmentName({ name })]}`;
  const whereOf = (name: string): string =>
    parsed.origins[name] === 'environment' && file ? lineOf(name) : 'flag';
  return [
    ...bad.problems,
    ...parsed.warnings.map(({ option, text }): Problem => {
      const advice = 'weftd reports and ignores it: give a value of that type';
      return { severity: 'error', where: lineOf(option), what: text, advice };
    }),
    ...settingsWarnings(parsed.values).map(({ option, text }): Problem => {
      return { severity: 'warning', where: whereOf(option), what: text, advice: 'remove it' };
    }),
    ...settingsErrors(parsed.values, file?.values ?? {}).map(
      ({ message, options: [name = ''] }): Problem => {
        const where = whereOf(name);
        const variable = `in the environment it is ${environmentName({ name })}`;
        const advice = where === 'flag' ? FLAG_ADVICE : variable;
        return { severity: 'error', where, what: message, advice };
      },
    ),
  ];
}

/** Those that can not be parsed are told and left out. */
function flagsOneByOne(flags: readonly string[]): { usable: string[]; problems: Problem[] } {
  const usable: string[] = [];
  const problems: Problem[] = [];
  for (let i = 0; i < flags.length; i++) {
    const word = flags[i] as string;
    const name = /^--?([a-z][a-z0-9_-]*)$/.exec(word)?.[1];
    const option = OPTIONS.find((candidate) => candidate.name === name);
    const takesNext = option !== undefined && option.kind !== 'bool' && i + 1 < flags.length;
    const words = takesNext ? [word, flags[++i] as string] : [word];
    const what = faultOf(words);
    if (what === '') usable.push(...words);
    else problems.push({ severity: 'error', where: 'flag', what, advice: FLAG_ADVICE });
  }
  return { usable, problems };
}

/** Why weftd does not take these words, '' when it does. */
function faultOf(words: readonly string[]): string {
  const [word = ''] = words;
  if (!word.startsWith('-'))
    return `"${printable(word)}" is not a flag; weftd ignores it and everything after it`;
  try {
    parseFlags(words, {});
    return '';
  } catch (error) {
    const [message = ''] = messageOf(error).replace(SEE_HELP, '').split('\n');
    const isUnknown = error instanceof WeftError && error.code === 'ERR_UNKNOWN_OPTION';
    return isUnknown ? message + hintAt(word) : message;
  }
}

function hintAt(word: string): string {
  const given = word.replace(/^-+|=[\s\S]*$/g, '');
  const meant = nearest(
    given,
    OPTIONS.map(({ name }) => name),
  );
  return meant ? ` (did you mean --${meant}?)` : '';
}

/** toSettings stops at the first fault: the options that it is about get their defaults, until nothing is left to refuse. */
function settingsErrors(values: Values, environment: Environment): WeftError[] {
  const errors: WeftError[] = [];
  const repaired: Record<string, Values[string]> = { ...values };
  for (let round = 0; round <= OPTIONS.length; round++) {
    const error = settingsError(repaired, environment);
    if (error === undefined) break;
    if (!errors.some(({ message }) => message === error.message)) errors.push(error);
    if (error.options.length === 0) break;
    for (const option of OPTIONS)
      if (error.options.includes(option.name)) repaired[option.name] = option.initial;
  }
  return errors;
}

function settingsError(values: Values, environment: Environment): WeftError | undefined {
  try {
    toSettings(values, environment);
    return undefined;
  } catch (error) {
    if (error instanceof WeftError) return error;
    throw error;
  }
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
        return {
          severity: 'warning',
          where,
          what: `nothing reads ${parent}${printable(key)}`,
          advice,
        };
      });
  const known = networkConfigKeys();
  return [
    ...told(keysOf(json), known.top, ''),
    ...told(keysOf(backend), known.backend, 'Backend.'),
  ];
}
