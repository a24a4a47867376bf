/** docs/man/weft.1 and docs/reference/commands.md, from the program itself. */
import type { Command } from 'commander';
import {
  type CommandEntry,
  commandsOf,
  commonOptions,
  describe,
  ownOptions,
} from './command-tree.ts';

/** Text as troff takes it: no line may begin with a control character. */
function troff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');
}

export function renderWeftPage(program: Command, version: string): string {
  const commands = commandsOf(program);
  const common = commonOptions(commands);
  const options = (list: CommandEntry['options']): string[] =>
    list.flatMap((option) => ['.TP', `.B ${troff(option.flags)}`, troff(describe(option))]);
  return [
    `.TH WEFT 1 "" "weft ${version}" "User Commands"`,
    '.SH NAME',
    'weft \\- inspect a running weftd and explain why one does not start',
    '.SH SYNOPSIS',
    '.B weft',
    '.I command',
    '.RI [ options ]',
    '.SH DESCRIPTION',
    'Asks the daemon through its admin socket and prints what it says for people, or with',
    '.B \\-\\-json',
    'for scripts. What \\-\\-json prints has a stable schema.',
    '.SH OPTIONS OF MOST COMMANDS',
    ...options(common),
    '.SH COMMANDS',
    ...commands.flatMap((entry) => [
      `.SS ${troff([`weft ${entry.path}`, ...entry.arguments.map(({ notation }) => notation)].join(' '))}`,
      sentence(troff(entry.description)),
      ...entry.arguments.flatMap(({ notation, description }) =>
        description === '' ? [] : ['.TP', `.I ${troff(notation)}`, sentence(troff(description))],
      ),
      ...options(ownOptions(entry, common)),
      ...(entry.help === '' ? [] : ['.PP', '.nf', troff(entry.help), '.fi']),
    ]),
    '.SH EXIT STATUS',
    '0 all well; 1 not healthy, or the command failed; 2 no daemon answers; 64 bad command line.',
    '.SH ENVIRONMENT',
    '.TP',
    '.B NO_COLOR',
    'If set and not empty, output has no colours unless \\-\\-color=always asks for them.',
    '.SH FILES',
    '.TP',
    '.I /run/weft/weft.sock',
    "the daemon's socket",
    '.SH SEE ALSO',
    '.BR weftd (8)',
    '',
  ].join('\n');
}

export function renderCommandsPage(program: Command): string {
  const commands = commandsOf(program);
  const common = commonOptions(commands);
  const table = (list: CommandEntry['options']): string[] =>
    list.length === 0
      ? []
      : [
          '',
          '| option | meaning |',
          '|---|---|',
          ...list.map((option) => `| \`${cell(option.flags)}\` | ${cell(describe(option))} |`),
        ];
  return [
    '# Commands of weft',
    '',
    'Written by `node scripts/docs.mjs` from the commands themselves. `weft help COMMAND` says the same; what `--json` prints:',
    '[json.md](json.md).',
    '',
    'Exit codes: 0 all well; 1 not healthy, or the command failed; 2 no daemon answers; 64 bad command line.',
    '',
    '## Options of most commands',
    ...table(common),
    ...commands.flatMap((entry) => [
      '',
      `## weft ${entry.path}`,
      '',
      `    weft ${[entry.path, ...entry.arguments.map(({ notation }) => notation)].join(' ')}`,
      '',
      sentence(entry.description),
      ...entry.arguments.flatMap(({ notation, description }) =>
        description === '' ? [] : ['', `\`${notation}\`: ${description}.`],
      ),
      ...table(ownOptions(entry, common)),
      ...(entry.help === '' ? [] : ['', '```', entry.help, '```']),
    ]),
    '',
  ].join('\n');
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`.replace(/\.?$/, '.');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
