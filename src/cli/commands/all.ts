/** Every command of `weft`, in the order of --help. */
import { Command } from 'commander';
import { programVersion } from '../../shared/version.ts';
import type { OnExit } from '../show.ts';
import { addBench } from './bench.ts';
import { addBugreport } from './bugreport.ts';
import { addCapture } from './capture.ts';
import { addCleanup } from './cleanup.ts';
import { addCluster } from './cluster.ts';
import { addCni } from './cni.ts';
import { addCompletion } from './completion.ts';
import { addConfig } from './config.ts';
import { addDockerOpts } from './docker-opts.ts';
import { addDoctor } from './doctor.ts';
import { addDrops } from './drops.ts';
import { addInstall } from './install.ts';
import { addPeers } from './peers.ts';
import { addPing } from './ping.ts';
import { addRoutes } from './routes.ts';
import { addStatus } from './status.ts';
import { addTop } from './top.ts';
import { addTopology } from './topology.ts';

/** The whole command line; `onExit` gets the exit code of the command that ran. */
export function createProgram(onExit: OnExit): Command {
  const program = new Command('weft')
    .description("inspects a running weftd and explains why one won't start")
    .version(programVersion())
    .exitOverride();
  addStatus(program, onExit);
  addPeers(program, onExit);
  addRoutes(program, onExit);
  addDrops(program, onExit);
  addPing(program, onExit);
  addDoctor(program, onExit);
  addTop(program, onExit);
  addCapture(program);
  addTopology(program, onExit);
  addCluster(program, onExit);
  addConfig(program, onExit);
  addCompletion(program);
  addBugreport(program);
  addBench(program, onExit);
  addInstall(program);
  addCleanup(program);
  addCni(program, onExit);
  addDockerOpts(program);
  return program;
}
