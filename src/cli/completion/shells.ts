/** Completion scripts for bash, zsh and fish. They call nothing but `weft peers --json`, where a peer is to be named. */
import type { CompletionCommand, CompletionOption, CompletionProgram } from './word.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** The nodes' addresses, one a line; nothing where no daemon answers. The same in all three shells. */
const PEERS = `weft peers --json 2>/dev/null | grep -o '"publicIp":"[^"]*"' | cut -d'"' -f4 | sort -u`;

export function renderCompletion(shell: Shell, programs: readonly CompletionProgram[]): string {
  const render = { bash: bashScript, zsh: zshScript, fish: fishScript }[shell];
  return render(programs);
}

/** Inside single quotes of bash, zsh and (with "\\'") fish. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Words that may follow a path of commands. */
function childrenOf(program: CompletionProgram, path: string): string[] {
  const depth = path === '' ? 0 : path.split(' ').length;
  const below = program.commands.filter((each) => path === '' || each.path.startsWith(`${path} `));
  const words = below.flatMap((each) => each.path.split(' ')[depth] ?? []);
  return [...new Set(words.filter((word) => word !== ''))];
}

/** All paths that have commands below them, and the commands themselves. */
function pathsOf(program: CompletionProgram): string[] {
  const groups = program.commands.flatMap(({ path }) =>
    path.includes(' ') ? [path.slice(0, path.lastIndexOf(' '))] : [],
  );
  return [...new Set(['', ...groups, ...program.commands.map(({ path }) => path)])];
}

function commandAt(program: CompletionProgram, path: string): CompletionCommand | undefined {
  return program.commands.find((command) => command.path === path);
}

/** Takes a word into $at when it is a command below $at. */
function stepCase(program: CompletionProgram): string {
  const paths = pathsOf(program).filter((path) => path !== '');
  const patterns = paths.map((path) => quoted(path.includes(' ') ? path : ` ${path}`));
  return `    case "$at $word" in (${patterns.join('|') || "''"})`;
}

const BASH_HEAD = `
  local current=${'$'}{COMP_WORDS[COMP_CWORD]} previous=${'$'}{COMP_WORDS[COMP_CWORD-1]} at="" word i
  # readline breaks words at "=": "--flag=value" comes as three
  if [[ $current == "=" ]]; then current=""
  elif [[ $previous == "=" ]]; then previous=${'$'}{COMP_WORDS[COMP_CWORD-2]}; fi
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${'$'}{COMP_WORDS[i]}`.slice(1);

function bashScript(programs: readonly CompletionProgram[]): string {
  return [
    '# bash completion for weft and weftd; made by: weft completion bash',
    `__weft_peers() { ${PEERS}; }`,
    ...programs.flatMap((program) => [
      '',
      `_${program.name}() {`,
      BASH_HEAD,
      `${stepCase(program)} at="\${at:+$at }$word" ;; esac`,
      '  done',
      '  case "$at:$previous" in',
      ...program.commands.flatMap((command) =>
        command.options.flatMap((option) => bashValueCase(command.path, option)),
      ),
      '  esac',
      '  case "$at" in',
      ...pathsOf(program).map((path) => bashWordsCase(program, path)),
      '  esac',
      '}',
      `complete -F _${program.name} ${program.name}`,
    ]),
    '',
  ].join('\n');
}

function bashValueCase(path: string, { names, value }: CompletionOption): string[] {
  if (value === 'none') return [];
  const pattern = names.map((name) => quoted(`${path}:${name}`)).join('|');
  const reply =
    value === 'file'
      ? 'COMPREPLY=($(compgen -f -- "$current"))'
      : value === 'any'
        ? ':'
        : `COMPREPLY=($(compgen -W ${quoted(value.join(' '))} -- "$current"))`;
  return [`    ${pattern}) ${reply}; return ;;`];
}

function bashWordsCase(program: CompletionProgram, path: string): string {
  const command = commandAt(program, path);
  const names = command?.options.flatMap((option) => option.names) ?? ['--help'];
  const children = [...childrenOf(program, path), ...(command?.words ?? [])];
  const words = [...children, ...(path === '' ? ['--help', '--version'] : names)];
  const all = path === '' && command ? names : words;
  const options = `COMPREPLY=($(compgen -W ${quoted([...new Set(all)].join(' '))} -- "$current"))`;
  const peers = command?.takesPeer
    ? `[[ $current == -* ]] || { COMPREPLY=($(compgen -W "$(__weft_peers)" -- "$current")); return; }; `
    : '';
  return `    ${quoted(path)}) ${peers}${options} ;;`;
}

const ZSH_HEAD = `
  local at="" word consumed=1
  local -a commands
  for word in ${'$'}{words[2,CURRENT-1]}; do`.slice(1);
/** _arguments is to see the last command as the program. */
const ZSH_SHIFT = `
  done
  words=("$words[1]" "${'$'}{(@)words[consumed+1,-1]}")
  ((CURRENT -= consumed - 1))
  case "$at" in`.slice(1);

function zshScript(programs: readonly CompletionProgram[]): string {
  const names = programs.map(({ name }) => name);
  return [
    `#compdef ${names.join(' ')}`,
    '# zsh completion for weft and weftd; made by: weft completion zsh',
    `__weft_peers() { local -a peers; peers=(\${(f)"$(${PEERS})"}); compadd -a peers; }`,
    ...programs.flatMap((program) => [
      '',
      `__complete_${program.name}() {`,
      ZSH_HEAD,
      `${stepCase(program)} at="\${at:+$at }$word"; ((consumed++)) ;; esac`,
      ZSH_SHIFT,
      ...pathsOf(program).map((path) => zshCase(program, path)),
      '  esac',
      '}',
    ]),
    '',
    '# sourced, or loaded by the completion system when it needs it',
    `_weft() { __complete_\${service:-weft} "$@"; }`,
    `if [[ "$funcstack[1]" = _weft ]]; then _weft "$@"; else compdef _weft ${names.join(' ')}; fi`,
    '',
  ].join('\n');
}

function zshCase(program: CompletionProgram, path: string): string {
  const command = commandAt(program, path);
  const children = childrenOf(program, path);
  if (children.length > 0) {
    const described = children.map((word) => {
      const text = commandAt(program, path === '' ? word : `${path} ${word}`)?.description ?? '';
      return quoted(`${word}:${text.replaceAll(':', '\\:')}`);
    });
    return `    (${quoted(path)}) commands=(${described.join(' ')}); _describe command commands ;;`;
  }
  const specs = command?.options.map(zshSpec) ?? [];
  const words = command?.words ?? [];
  const others = words.length > 0 ? `*:word:(${words.join(' ')})` : '*:word:_files';
  const rest = quoted(command?.takesPeer ? '*:peer:__weft_peers' : others);
  return `    (${quoted(path)}) _arguments ${[...specs, rest].join(' ')} ;;`;
}

function zshSpec({ names, description, value }: CompletionOption): string {
  const text = description.replaceAll(/[[\]:]/g, '\\$&');
  const action =
    value === 'none'
      ? ''
      : value === 'file'
        ? ':file:_files'
        : value === 'any'
          ? ':value:'
          : `:value:(${value.map((word) => word.replaceAll(':', '\\:')).join(' ')})`;
  // "=" means that the value may follow in the same word.
  return names
    .map((name) =>
      quoted(`${name}${action !== '' && name.startsWith('--') ? '=' : ''}[${text}]${action}`),
    )
    .join(' ');
}

const FISH_AT = `
function __weft_at
    set -l typed (string match -v -- '-*' (commandline -opc)[2..-1])
    test (count $typed) -ge (count $argv); or return 1
    for i in (seq (count $argv))
        test "$typed[$i]" = "$argv[$i]"; or return 1
    end
end`.slice(1);

function fishScript(programs: readonly CompletionProgram[]): string {
  return [
    '# fish completion for weft and weftd; made by: weft completion fish',
    'function __weft_peers',
    `    ${PEERS}`,
    'end',
    FISH_AT,
    ...programs.flatMap((program) => [
      `complete -c ${program.name} -f`,
      ...pathsOf(program).flatMap((path) => fishLines(program, path)),
    ]),
    '',
  ].join('\n');
}

function fishLines(program: CompletionProgram, path: string): string[] {
  const fishQuoted = (text: string): string =>
    `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const children = childrenOf(program, path);
  const condition =
    path === ''
      ? children.length > 0
        ? ' -n __fish_use_subcommand'
        : ''
      : ` -n ${fishQuoted(`__weft_at ${path}`)}`;
  const start = `complete -c ${program.name}${condition}`;
  const command = commandAt(program, path);
  const words = children.map((word) => {
    const text = commandAt(program, path === '' ? word : `${path} ${word}`)?.description ?? '';
    return `${start} -a ${word} -d ${fishQuoted(text)}`;
  });
  const options = (command?.options ?? []).map(({ names, description, value }) => {
    const flags = names.map((name) =>
      name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
    );
    const takes =
      value === 'none'
        ? ''
        : value === 'file'
          ? ' -r -F'
          : value === 'any'
            ? ' -x'
            : ` -x -a ${fishQuoted(value.join(' '))}`;
    return `${start} ${flags.join(' ')}${takes} -d ${fishQuoted(description)}`;
  });
  const peers = command?.takesPeer ? [`${start} -a '(__weft_peers)' -d peer`] : [];
  const given = (command?.words ?? []).map((word) => `${start} -a ${word}`);
  return [...words, ...given, ...options, ...peers];
}
