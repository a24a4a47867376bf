/** weft cleanup: removes what weftd left on this host. Works without a daemon. */
import type { Command } from 'commander';
import { SCHEMA_VERSION } from '../../api/version.ts';
import { cleanUp } from '../../host/cleanup.ts';
import { printable, printableJson } from '../../shared/printable.ts';

interface CleanupOptions {
  adminSocket: string;
  subnetFile: string;
  stateDir: string;
  keepState: boolean;
  json: boolean;
}

export function addCleanup(program: Command): void {
  program
    .command('cleanup')
    .description(
      'remove devices, routes, firewall rules and files that weftd left; the lease stays',
    )
    .option('--admin-socket <path>', "the daemon's socket", '/run/weft/weft.sock')
    .option('--subnet-file <path>', 'subnet file', '/run/flannel/subnet.env')
    .option('--state-dir <path>', 'state folder', '/var/lib/weft')
    .option('--keep-state', 'keep the MACs for the next start', false)
    .option('--json', 'one JSON object', false)
    .exitOverride()
    .action(async ({ adminSocket, subnetFile, stateDir, keepState, json }: CleanupOptions) => {
      const wishes = { adminSocket, subnetFile, stateFolder: stateDir, keepState };
      const removed = await cleanUp(wishes);
      if (json)
        process.stdout.write(`${printableJson({ schemaVersion: SCHEMA_VERSION, removed })}\n`);
      else if (removed.length === 0) process.stdout.write('nothing was left\n');
      else
        process.stdout.write(`${removed.map((line) => `removed ${printable(line)}`).join('\n')}\n`);
    });
}
