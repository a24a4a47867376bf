/** weftd's flags for completion, from the table that it parses them by. */
import { OPTIONS, type Option } from '../../options/options.ts';
import type { CompletionOption, CompletionProgram } from './word.ts';

export function weftdCompletion(): CompletionProgram {
  const options = OPTIONS.map((option): CompletionOption => {
    return { names: [`--${option.name}`], description: option.help, value: valuesOf(option) };
  });
  const help: CompletionOption = { names: ['--help'], description: 'help', value: 'none' };
  const version: CompletionOption = { names: ['--version'], description: 'version', value: 'none' };
  const command = { path: '', description: '', words: [], takesPeer: false };
  return { name: 'weftd', commands: [{ ...command, options: [...options, help, version] }] };
}

function valuesOf({ name, kind, choices, word, samples = [] }: Option): CompletionOption['value'] {
  if (kind === 'bool') return 'none';
  const words = choices ?? [word ?? [], samples].flat();
  if (words.length > 0) return words;
  return /(file|path|socket|dir)$/.test(name) ? 'file' : 'any';
}
