/** Every command of `weft`, in the order of --help. */
import { Command } from 'commander';
import { programVersion } from '../../shared/version.ts';
import type { OnExit } from '../show.ts';
import { addBench } from './bench.ts';
import { addCleanup } from './cleanup.ts';
import { addDockerOpts } from './docker-opts.ts';
import { addDoctor } from './doctor.ts';
import { addPeers } from './peers.ts';
import { addStatus } from './status.ts';

/** The whole command line; `onExit` gets the exit code of the command that ran. */
export function createProgram(onExit: OnExit): Command {
  const program = new Command('weft')
    .description('looks at a running weftd, and tells why one does not run')
    .version(programVersion())
    .exitOverride();
  addStatus(program, onExit);
  addPeers(program, onExit);
  addDoctor(program, onExit);
  addBench(program, onExit);
  addCleanup(program);
  addDockerOpts(program);
  return program;
}
