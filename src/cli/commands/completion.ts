/** weft completion bash|zsh|fish: prints a script for the shell, for weft and weftd. */
import { Argument, type Command } from 'commander';
import { commandsOf } from '../command-tree.ts';
import { renderCompletion, SHELLS, type Shell } from '../completion/shells.ts';
import { weftdCompletion } from '../completion/weftd.ts';
import { type CompletionProgram, optionOf } from '../completion/word.ts';

const HELP = `
bash   weft completion bash > /usr/share/bash-completion/completions/weft    (weftd: a link to it)
zsh    weft completion zsh > /usr/share/zsh/vendor-completions/_weft
fish   weft completion fish > /usr/share/fish/vendor_completions.d/weft.fish
Or for one shell: source <(weft completion bash)`;

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description("print a script that completes weft's and weftd's words in a shell")
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .addHelpText('after', HELP)
    .exitOverride()
    .action((shell: Shell) => {
      const programs = [weftCompletion(program), weftdCompletion()];
      process.stdout.write(renderCompletion(shell, programs));
    });
}

export function weftCompletion(program: Command): CompletionProgram {
  const help = { names: ['-h', '--help'], description: 'help', value: 'none' as const };
  const commands = commandsOf(program).map((entry) => ({
    path: entry.path,
    description: entry.description,
    options: [...entry.options.map(optionOf), help],
    words: entry.arguments.flatMap(({ choices }) => choices ?? []),
    takesPeer: entry.arguments.some(({ notation }) => /^[<[]peer/i.test(notation)),
  }));
  return { name: 'weft', commands };
}
