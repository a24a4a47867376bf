/**
 * A process that gives up what weftd does, then tries what it must not be able to do any more, and what it must:
 *   node hardened.js FOLDER TYPE
 * FOLDER/state and FOLDER/run are its own, TYPE is the Backend.Type. Prints one JSON line: what came of each try, "" for success.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';
import { harden } from '../../../src/control/hardening.ts';
import { loadAddon } from '../../../src/memory/addon.ts';
import { parseFlags } from '../../../src/options/flags.ts';
import { toSettings } from '../../../src/options/settings.ts';
import { keepLog } from '../log-lines.ts';

const [folder = '', type = ''] = process.argv.slice(2);
const at = (...names: string[]): string => path.join(folder, ...names);
const parsed = parseFlags(
  [
    `--store=file:${at('stores/one')}`,
    `--state-dir=${at('state')}`,
    `--subnet-file=${at('run/subnet.env')}`,
    `--admin-socket=${at('run/weft.sock')}`,
  ],
  {},
);
if (parsed.kind !== 'run') throw new Error('the flags of this program');
const config = parseNetworkConfig(
  JSON.stringify({ Network: '10.244.0.0/16', Backend: { Type: type } }),
);
await writeFile(at('before'), ''); // starts Node's file threads, as loading a program does

const attempt = async (act: () => unknown): Promise<string> => {
  try {
    await act();
    return '';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
};
const shell = (script: string): string =>
  execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8', stdio: 'pipe' });
/** As many as there are file threads, and more. */
const inPool = async (file: string): Promise<string[]> => {
  const writes = Array.from({ length: 12 }, () => attempt(() => writeFile(file, 'x')));
  return [...new Set(await Promise.all(writes))];
};

const hardening = await harden(loadAddon(), toSettings(parsed.values), config, keepLog().log);
const tries = {
  inState: await attempt(() => writeFileSync(at('state/mac'), 'x')),
  inRun: await attempt(() => writeFileSync(at('run/subnet.env'), 'x')),
  ofStore: await attempt(() => writeFileSync(at('stores/one/config'), '{}')),
  /** as a backup that is restored: another folder of the same name */
  ofNewStore: await attempt(async () => {
    await rename(at('stores/one'), at('stores/old'));
    shell(`mkdir '${at('stores/one')}'`);
    writeFileSync(at('stores/one/config'), '{}');
  }),
  acrossFolders: await attempt(() => rename(at('stores/one/config'), at('stores/old/moved'))),
  elsewhere: await attempt(() => writeFileSync(at('elsewhere'), 'x')),
  elsewhereByFileThreads: await inPool(at('elsewhere')),
  elsewhereByChild: await attempt(() => shell(`echo x > '${at('elsewhere')}'`)).then(
    (e) => e !== '',
  ),
  truncated: await attempt(() => writeFileSync(at('before'), '')),
  toNull: await attempt(() => shell('echo x > /dev/null')),
  read: await attempt(() => shell(`cat '${at('before')}' /proc/net/dev`)),
  noNewPrivsOfChild: shell('grep NoNewPrivs /proc/self/status').trim().split(/\s+/)[1],
  evalHere: await attempt(() => new Function('return 1')()),
  evalInWorker: await new Promise((resolve) => {
    const worker = new Worker(at('worker.cjs'));
    worker.once('message', resolve);
    worker.once('error', (error) => resolve(error.name));
  }),
};
process.stdout.write(`${JSON.stringify({ hardening, tries })}\n`);
