/** `weft cleanup`: removes what weftd leaves on a host: devices, routes, firewall rules, files. The lease stays in the store. */
import { lstat, rm } from 'node:fs/promises';
import path from 'node:path';
import { MEMORY_FILE } from '../cluster/remember/memory-file.ts';
import { EXIT, WeftError } from '../shared/errors.ts';
import { isAnswering } from '../shared/socket.ts';
import { type Exec, exec } from './exec.ts';
import { removeRules } from './firewall/firewall.ts';
import { ipJson, LINK, ROUTE } from './ip-json.ts';
import { isOwnDevice } from './own-devices.ts';
import { ROUTE_PROTOCOL } from './routes.ts';

const STATE_FILES = ['state.json', MEMORY_FILE];

export interface CleanupWishes {
  adminSocket: string;
  subnetFile: string;
  stateFolder: string;
  /** keep the state folder, so that the next start has the same MACs and can do without the store */
  keepState: boolean;
}

/** What was removed, one line each. Throws ERR_RUNNING while a daemon answers at the admin socket. */
export async function cleanUp(wishes: CleanupWishes, run: Exec = exec): Promise<string[]> {
  if ((await exists(wishes.adminSocket)) && (await isAnswering(wishes.adminSocket))) {
    const message = `weftd answers at ${wishes.adminSocket}; stop it first, or name another --admin-socket`;
    throw new WeftError('ERR_RUNNING', EXIT.failure, message);
  }
  return [
    ...(await removeDevices(run)),
    ...(await removeRoutes(run)),
    ...(await removeRules('iptables', run)),
    ...(await removeRules('nftables', run)),
    ...(await removeFiles(wishes)),
  ];
}

async function removeDevices(run: Exec): Promise<string[]> {
  const links = await ipJson(LINK, ['-d', 'link', 'show'], run);
  const ours = links.filter((link) => isOwnDevice(link));
  for (const { ifname } of ours) await run('ip', ['link', 'delete', 'dev', ifname]);
  return ours.map(({ ifname }) => `device ${ifname}`);
}

async function removeRoutes(run: Exec): Promise<string[]> {
  const removed: string[] = [];
  for (const family of ['-4', '-6']) {
    const filter = ['table', 'main', 'proto', ROUTE_PROTOCOL];
    const routes = await ipJson(ROUTE, [family, 'route', 'show', ...filter], run);
    if (routes.length === 0) continue;
    await run('ip', [family, 'route', 'flush', ...filter]);
    removed.push(...routes.map(({ dst }) => `route ${dst}`));
  }
  return removed;
}

async function removeFiles(wishes: CleanupWishes): Promise<string[]> {
  const { adminSocket, subnetFile, stateFolder, keepState } = wishes;
  const state = keepState ? [] : STATE_FILES.map((name) => path.join(stateFolder, name));
  const removed: string[] = [];
  for (const file of [adminSocket, subnetFile, ...state]) {
    if (!(await exists(file))) continue;
    await rm(file);
    removed.push(`file ${file}`);
  }
  return removed;
}

function exists(file: string): Promise<boolean> {
  return lstat(file).then(
    () => true,
    () => false,
  );
}
