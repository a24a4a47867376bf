/**
 * What this process gives up before it changes anything: dumps, io_uring, writing files that are not its own. What workers
 * give up besides is in dataplane/worker.ts. Nothing here ends a start: what the kernel refuses is said once and shown in the status.
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { getSystemErrorName } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { kindOf } from '../cluster/kinds/all.ts';
import type { NetworkConfig } from '../cluster/network-config.ts';
import type { Addon } from '../memory/addon.ts';
import type { Settings } from '../options/settings.ts';
import type { Log } from './log/log.ts';

/** How it went: each text begins with "on" or "off". */
export interface Hardening {
  /** no core file, no ptrace by others of the same user */
  noDump: string;
  /** no io_uring for any thread */
  noRings: string;
  /** Landlock: files are written in few places only */
  files: string;
}

export type HardenAddon = Pick<
  Addon,
  | 'hardenDump'
  | 'hardenRings'
  | 'hardenFilesAbi'
  | 'hardenFilesCreate'
  | 'hardenFilesAllow'
  | 'hardenFilesEnforce'
  | 'close'
>;

/** LANDLOCK_ACCESS_FS bits (linux/landlock.h), and the version that brought each of the later ones. */
const ACCESS = {
  writeFile: 1 << 1,
  removeDir: 1 << 4,
  removeFile: 1 << 5,
  makeChar: 1 << 6,
  makeDir: 1 << 7,
  makeReg: 1 << 8,
  makeSock: 1 << 9,
  makeFifo: 1 << 10,
  makeBlock: 1 << 11,
  makeSym: 1 << 12,
  refer: 1 << 13,
  truncate: 1 << 14,
  ioctlDev: 1 << 15,
} as const;
const SINCE: Readonly<Record<string, number>> = { refer: 2, truncate: 3, ioctlDev: 5 };
/** The first version refuses every rename from one folder to another, which the file store needs. */
const ABI_MIN = 2;

const FILE = ACCESS.writeFile | ACCESS.truncate;
const FOLDER = Object.values(ACCESS).reduce((all, bit) => all | bit, 0) & ~ACCESS.ioctlDev;

/** Where something may be written, and how. */
export type Place = readonly [path: string, access: number];

/** Everything else stays readable and can be executed, and can't be written. */
export function writablePlaces(settings: Settings): Place[] {
  const { subnetFile, adminSocket, stateFolder, store } = settings;
  const folders = [path.dirname(subnetFile), path.dirname(adminSocket), stateFolder];
  return [
    ...folders.map((folder) => [folder, FOLDER] as const),
    // Its parent: a store that is restored or mounted anew is another folder of the same name.
    ...(store.kind === 'file' ? [[path.dirname(path.resolve(store.folder)), FOLDER] as const] : []),
    ['/proc/sys/net', FILE],
    ['/dev/net/tun', FILE | ACCESS.ioctlDev],
    ['/dev/null', FILE],
    // iptables makes its lock file here, and never writes to it.
    ['/run', ACCESS.makeReg],
  ];
}

/** Call it while no worker has been made: threads and children inherit it. */
export async function harden(
  addon: HardenAddon,
  settings: Settings,
  config: NetworkConfig,
  log: Log,
): Promise<Hardening> {
  // Not in this thread: protobufjs, which etcd3 needs, compiles its decoders from strings.
  setFlagsFromString('--disallow-code-generation-from-strings');
  const isFree = kindOf(config.backend).runsCommands === true;
  const foreign = `off: the commands of the ${config.backend.type} backend may need more`;
  const result: Hardening = {
    noDump: wordFor(addon.hardenDump()),
    noRings: isFree ? foreign : wordFor(addon.hardenRings()),
    files: isFree ? foreign : await confineFiles(addon, writablePlaces(settings)),
  };
  log.info(result, 'hardening');
  return result;
}

async function confineFiles(addon: HardenAddon, places: readonly Place[]): Promise<string> {
  const abi = addon.hardenFilesAbi();
  if (abi < 0) return wordFor(abi);
  if (abi < ABI_MIN) return `off: Landlock ${abi} of this kernel is too old`;
  const known = Object.entries(ACCESS).filter(([name]) => (SINCE[name] ?? 1) <= abi);
  const handled = known.reduce((all, [, bit]) => all | bit, 0);
  const fd = addon.hardenFilesCreate(handled);
  if (fd < 0) return wordFor(fd);
  try {
    for (const [place, access] of places) {
      if ((access & FOLDER) === FOLDER)
        await mkdir(place, { recursive: true }).catch(() => undefined);
      addon.hardenFilesAllow(fd, place, access & handled); // what is not there can't be written
    }
    const missed = addon.hardenFilesEnforce(fd);
    if (missed < 0) return wordFor(missed);
    const text = `on: Landlock ${abi}`;
    return missed === 0
      ? text
      : `${text}, without ${missed} ${missed === 1 ? 'thread' : 'threads'} of Node`;
  } finally {
    addon.close(fd);
  }
}

/** `result`: of the addon, 0 or -errno. */
function wordFor(result: number): string {
  return result === 0 ? 'on' : `off: ${getSystemErrorName(result)}`;
}
