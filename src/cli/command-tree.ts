/** The commands of the program as data: what man page, reference page and completions are made of. */
import type { EventEmitter } from 'node:events';
import type { Command, Option } from 'commander';
import type * as z from 'zod';
import { shapeOf } from './show.ts';

export interface CommandEntry {
  /** "routes get" */
  path: string;
  /** "<address>", "[flags...]" */
  arguments: { notation: string; description: string; choices: readonly string[] | undefined }[];
  description: string;
  options: readonly Option[];
  /** what stands under the options of --help; '' if nothing */
  help: string;
  /** of --json */
  shape: z.ZodType | undefined;
}

/** Every command that does something, in the order of --help. */
export function commandsOf(program: Command, path: readonly string[] = []): CommandEntry[] {
  return program.commands.flatMap((command) => {
    const own = [...path, command.name()];
    if (command.commands.length > 0) return commandsOf(command, own);
    return [
      {
        path: own.join(' '),
        arguments: command.registeredArguments.map((argument) => ({
          notation: notationOf(argument),
          description: argument.description,
          choices: argument.argChoices,
        })),
        description: command.description(),
        options: command.options.filter((option) => !option.hidden),
        help: helpOf(command),
        shape: shapeOf(command),
      },
    ];
  });
}

/** Options that most commands have with the same meaning: told once. */
export function commonOptions(commands: readonly CommandEntry[]): Option[] {
  const all = commands.flatMap(({ options }) => options);
  const isSame = (a: Option, b: Option): boolean =>
    a.flags === b.flags && a.description === b.description;
  const first = all.filter((option, i) => all.findIndex((other) => isSame(other, option)) === i);
  return first.filter((option) => all.filter((other) => isSame(other, option)).length >= 4);
}

/** The options that a command does not share with most others. */
export function ownOptions(entry: CommandEntry, common: readonly Option[]): Option[] {
  return entry.options.filter(
    ({ flags, description }) =>
      !common.some((each) => each.flags === flags && each.description === description),
  );
}

/** An option's description with its choices and default. */
export function describe(option: Option): string {
  const choices = option.argChoices ? ` One of ${option.argChoices.join(', ')}.` : '';
  const { defaultValue } = option;
  const isTold = defaultValue !== undefined && typeof defaultValue !== 'boolean';
  const initial = isTold ? ` Default: ${defaultValue}.` : '';
  const text = option.description;
  const capital = `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  return `${capital.replace(/\.?$/, '.')}${choices}${initial}`;
}

function notationOf(argument: Command['registeredArguments'][number]): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

/** What addHelpText('after') was given: commander hands it out by this event only. */
function helpOf(command: Command): string {
  let text = '';
  const write = (part: string): void => {
    text += part;
  };
  // Its types leave out that a command is an emitter.
  (command as unknown as EventEmitter).emit('afterHelp', { error: false, command, write });
  return text.trim();
}
