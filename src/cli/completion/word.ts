/** What can be completed, for all shells: programs, their commands, options with the values that they take. */
import type { Option } from 'commander';

export interface CompletionOption {
  /** "-f", "--file" */
  names: string[];
  description: string;
  /** takes no value · a file · one of these words · anything */
  value: 'none' | 'file' | 'any' | readonly string[];
}

export interface CompletionCommand {
  /** "routes get", '' for the program itself */
  path: string;
  description: string;
  options: CompletionOption[];
  /** what an argument may be, where it is one of a few words */
  words: readonly string[];
  /** an argument that names a peer */
  takesPeer: boolean;
}

export interface CompletionProgram {
  name: string;
  commands: CompletionCommand[];
}

/** Values of options with these names are files. */
const FILES = /(file|path|output|socket|dir|folder)/;

export function optionOf(option: Option): CompletionOption {
  const names = [option.short, option.long].flatMap((name) => name ?? []);
  const { description } = option;
  if (option.argChoices) return { names, description, value: option.argChoices };
  if (option.isBoolean()) return { names, description, value: 'none' };
  // An optional value must not swallow the next word.
  if (option.optional) return { names, description, value: 'none' };
  return { names, description, value: FILES.test(option.flags) ? 'file' : 'any' };
}
