/** weft: asks the running daemon through its admin socket. Exit codes: 0 ok, 1 unhealthy or failed, 2 not reachable, 64 usage. */
import { Command, CommanderError } from 'commander';
import { messageOf, WeftError } from '../shared/errors.ts';
import { programVersion } from '../shared/version.ts';
import { fetchPage } from './client.ts';
import { addBench } from './commands/bench.ts';
import { addCleanup } from './commands/cleanup.ts';
import { addDockerOpts } from './commands/docker-opts.ts';
import { renderPeers } from './commands/peers.ts';
import { renderStatus } from './commands/status.ts';

const EXIT_USAGE = 64;

interface CommandOptions {
  json?: boolean;
  adminSocket: string;
}

/** Runs one command; the result is the exit code. */
export async function main(words: readonly string[]): Promise<number> {
  let code = 0;
  const program = new Command('weft')
    .description('looks at a running weftd')
    .version(programVersion())
    .exitOverride();
  const command = (
    name: string,
    help: string,
    show: (page: Record<string, unknown>) => number,
  ): void => {
    program
      .command(name)
      .description(help)
      .option('--json', 'one JSON object')
      .option('--admin-socket <path>', "the daemon's socket", '/run/weft/weft.sock')
      .exitOverride()
      .action(async (options: CommandOptions) => {
        const page = await fetchPage(options.adminSocket, `/${name}`);
        if (options.json) process.stdout.write(`${JSON.stringify(page)}\n`);
        else code = show(page);
        if (options.json && page['healthy'] === false) code = 1;
      });
  };
  command('status', 'this node at a glance', (page) => {
    const { text, healthy } = renderStatus(page, Date.now());
    process.stdout.write(`${text}\n`);
    return healthy ? 0 : 1;
  });
  command('peers', 'the nodes this one sends to', (page) => {
    process.stdout.write(`${renderPeers(page)}\n`);
    return 0;
  });
  addBench(program, (exitCode) => {
    code = exitCode;
  });
  addCleanup(program);
  addDockerOpts(program);
  try {
    await program.parseAsync([...words], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    process.stderr.write(`weft: ${messageOf(error)}\n`);
    return error instanceof WeftError ? error.exitCode : 1;
  }
}
