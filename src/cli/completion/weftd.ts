/** weftd's flags for completion, from the table that it parses them by. */
import { OPTIONS, type Option } from '../../options/options.ts';
import type { CompletionOption, CompletionProgram } from './word.ts';

/** Words that an option takes, where they are few. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  'log-format': ['auto', 'text', 'json'],
  'log-level': ['debug', 'info', 'warn', 'error'],
  'source-check': ['lease', 'vtep', 'off'],
  store: ['etcd', 'file:'],
  offload: ['auto', 'off'],
  workers: ['auto', '1', '2', '4', '8'],
};

export function weftdCompletion(): CompletionProgram {
  const options = OPTIONS.map(({ name, kind, help }): CompletionOption => {
    return { names: [`--${name}`], description: help, value: valuesOf({ name, kind }) };
  });
  const help: CompletionOption = { names: ['--help'], description: 'help', value: 'none' };
  const version: CompletionOption = { names: ['--version'], description: 'version', value: 'none' };
  const command = { path: '', description: '', words: [], takesPeer: false };
  return { name: 'weftd', commands: [{ ...command, options: [...options, help, version] }] };
}

function valuesOf({ name, kind }: Pick<Option, 'name' | 'kind'>): CompletionOption['value'] {
  if (kind === 'bool') return 'none';
  if (WORDS[name]) return WORDS[name];
  return /(file|path|socket|dir)$/.test(name) ? 'file' : 'any';
}
