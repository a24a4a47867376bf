/** `npm run soak -- --minutes N`: pods talk while faults happen at random, by a seed. */
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { EXIT, messageOf, WeftError } from '../../src/shared/errors.ts';
import { requireCommands, requireRoot } from '../command.ts';
import { Progress } from '../progress.ts';
import { parseSoakOptions, SOAK_HELP } from './options.ts';
import { renderResult, renderSchedule } from './report.ts';
import { scheduleOf } from './schedule.ts';
import { Soak } from './soak.ts';

const COMMANDS = ['ip', 'bridge', 'ping', 'sysctl', 'iptables', 'ip6tables', 'nft', 'cc'];
const SEEDS = 1_000_000;

const progress = new Progress();

async function main(args: readonly string[]): Promise<number> {
  const options = parseSoakOptions(args, randomInt(SEEDS));
  if (options.help) {
    process.stdout.write(SOAK_HELP);
    return EXIT.ok;
  }
  if (options.list) {
    process.stdout.write(`seed ${options.seed}\n${renderSchedule(scheduleOf(options))}\n`);
    return EXIT.ok;
  }
  requireRoot();
  if (options.json !== undefined) makeFile(options.json);
  requireCommands(options.store === 'etcd' ? [...COMMANDS, 'etcd', 'etcdctl'] : COMMANDS);
  progress.step(`seed ${options.seed}`);
  const result = await new Soak(options, (text) => progress.step(text)).run();
  progress.clear();
  process.stdout.write(`${renderResult(result)}\n`);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(result)}\n`);
  return result.ok ? EXIT.ok : EXIT.failure;
}

/** Now, not after hours: throws (exit 2) where it can't be written. */
function makeFile(file: string): void {
  try {
    writeFileSync(file, '');
  } catch (error) {
    throw new WeftError('ERR_USAGE', EXIT.usage, `--json: ${messageOf(error)}`);
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  progress.clear();
  // Stack traces are for our own mistakes; what a user can mend comes as one message.
  const text =
    error instanceof WeftError
      ? error.message
      : error instanceof Error
        ? error.stack
        : String(error);
  process.stderr.write(`soak: ${text}\n`);
  process.exitCode = error instanceof WeftError ? error.exitCode : EXIT.failure;
}
