/**
 * Go's flag syntax (one or two dashes, "=value" or the next word, booleans only with "=") in front of commander, and flannel's
 * environment variables behind it. The command line wins over the environment, the environment over defaults.
 */
import { Command, CommanderError, Option as CommanderOption } from 'commander';
import { EXIT, WeftError } from '../shared/errors.ts';
import { environmentName, helpOf, OPTIONS, type Option } from './options.ts';

export type Value = string | boolean | number | readonly string[];
export type Values = Readonly<Record<string, Value>>;

/** Where each option's value comes from. */
export type Origin = 'flag' | 'environment' | 'default';
export type Origins = Readonly<Record<string, Origin>>;

/** What the daemon says about an option and then goes on; `option` is the name. */
export interface OptionWarning {
  option: string;
  text: string;
}

export type Parsed =
  | { kind: 'run'; values: Values; origins: Origins; warnings: OptionWarning[] }
  | { kind: 'help' }
  | { kind: 'version' };

/** What ends each message of {@link parseFlags}. */
export const SEE_HELP = '; see weftd --help';

/** Parses the words behind the program's name. Throws WeftError ERR_USAGE or ERR_UNKNOWN_OPTION (exit 2) that names the flag. */
export function parseFlags(words: readonly string[], environment: NodeJS.ProcessEnv): Parsed {
  const normal = normalise(words);
  if (normal.includes('--help')) return { kind: 'help' };
  if (normal.includes('--version=true')) return { kind: 'version' };
  const given = runCommander(normal.filter((word) => word !== '--version=false'));
  const warnings: OptionWarning[] = [];
  const values: Record<string, Value> = {};
  const origins: Record<string, Origin> = {};
  for (const option of OPTIONS) {
    const { name } = option;
    const text = given.get(name);
    const found = text === undefined ? fromEnvironment(option, environment, warnings) : undefined;
    values[name] = text === undefined ? (found ?? option.initial) : convert(option, text);
    origins[name] = text !== undefined ? 'flag' : found === undefined ? 'default' : 'environment';
  }
  return { kind: 'run', values, origins, warnings };
}

/** "-x" becomes "--x", booleans get their "=true", and everything behind the first other word is left out, as Go does. */
function normalise(words: readonly string[]): string[] {
  const result: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const match = /^--?([a-z][a-z0-9_-]*)(=.*)?$/s.exec(words[i] as string);
    if (!match) {
      if (['-', '--'].includes(words[i] as string) || !words[i]?.startsWith('-')) break;
      throw usage(`bad flag syntax: ${words[i]}`);
    }
    const name = match[1] === 'h' ? 'help' : (match[1] as string);
    const option = OPTIONS.find((candidate) => candidate.name === name);
    const isBool = option?.kind === 'bool' || name === 'version';
    if (match[2] !== undefined || isBool || !option) {
      result.push(`--${name}${match[2] ?? (isBool ? '=true' : '')}`);
      continue;
    }
    const next = words[++i];
    if (next === undefined) throw usage(`flag needs an argument: -${name}`, name);
    result.push(`--${name}=${next}`);
  }
  return result;
}

function runCommander(words: readonly string[]): Map<string, string[]> {
  const given = new Map<string, string[]>();
  const command = new Command('weftd')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  command.helpOption(false);
  for (const option of OPTIONS) {
    const collect = (text: string): string => {
      given.set(option.name, [...(given.get(option.name) ?? []), text]);
      return text;
    };
    command.addOption(new CommanderOption(`--${option.name} <value>`).argParser(collect));
  }
  try {
    command.parse([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const message = `${error.message.replace(/^error: /, '')}${SEE_HELP}`;
    const isUnknown = error.code === 'commander.unknownOption';
    throw new WeftError(isUnknown ? 'ERR_UNKNOWN_OPTION' : 'ERR_USAGE', EXIT.usage, message);
  }
  return given;
}

function convert(option: Option, texts: readonly string[]): Value {
  if (option.kind === 'list') return texts;
  const text = texts.at(-1) as string;
  const value = convertOne(option, text);
  if (value === undefined)
    throw usage(
      `invalid value "${text}" for flag -${option.name}: ${option.kind} expected`,
      option.name,
    );
  return value;
}

function convertOne(option: Option, text: string): Value | undefined {
  if (option.kind === 'string' || text === option.word) return text;
  if (option.kind === 'list') return [text];
  if (option.kind === 'number') return /^-?\d{1,9}$/.test(text) ? Number(text) : undefined;
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  return /^(0|f|F|FALSE|false|False)$/.test(text) ? false : undefined;
}

/** Empty variables count as unset; bad ones are reported and ignored, as flannel does. */
function fromEnvironment(
  option: Option,
  environment: NodeJS.ProcessEnv,
  warnings: OptionWarning[],
): Value | undefined {
  const name = environmentName(option);
  const text = environment[name];
  if (!text) return undefined;
  const value = convertOne(option, text);
  if (value !== undefined) return value;
  warnings.push({ option: option.name, text: `${name}: ${option.kind} expected; ignored` });
  return undefined;
}

function usage(message: string, ...options: string[]): WeftError {
  return new WeftError('ERR_USAGE', EXIT.usage, `${message}${SEE_HELP}`, undefined, options);
}

/** The text of --help, flannel's flags first. */
export function helpText(): string {
  const section = (title: string, group: Option['group']): string =>
    [title, ...OPTIONS.filter((option) => option.group === group).map(line)].join('\n');
  return `usage: weftd [flags]\n\n${section("flannel's flags", 'flannel')}\n\n${section("weft's own flags", 'weft')}\n
Each flag can be set by an environment variable: FLANNELD_ and its name in capitals, "-" as "_".\n`;
}

function line(option: Option): string {
  const initial = Array.isArray(option.initial) ? '' : String(option.initial);
  return `  --${option.name.padEnd(30)} ${helpOf(option)}${initial === '' ? '' : ` [${initial}]`}`;
}
