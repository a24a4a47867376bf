/** weftd: flags, signals, exit codes. */
import os from 'node:os';
import { createRegistry } from '../cluster/create-registry.ts';
import { remembering } from '../cluster/remember/remembering-registry.ts';
import { runCommandsBy } from '../host/exec.ts';
import { nativeRunner } from '../host/native-exec.ts';
import { makeTunNode, TUN_NODE } from '../host/tun-node.ts';
import { loadAddon } from '../memory/addon.ts';
import { effectiveOptions } from '../options/effective.ts';
import { helpText, type Parsed, parseFlags } from '../options/flags.ts';
import { type Settings, settingsWarnings, toSettings } from '../options/settings.ts';
import { systemClock } from '../shared/clock.ts';
import { EXIT, messageOf, systemErrorOf, WeftError } from '../shared/errors.ts';
import { MESSAGE_CHARACTERS_MAX, printable, printableLines } from '../shared/printable.ts';
import { closePrototypes } from '../shared/prototypes.ts';
import { isJournal, writeStderr } from '../shared/stderr.ts';
import { programVersion } from '../shared/version.ts';
import { Daemon, type DaemonParts } from './daemon.ts';
import { type HostParts, thisHost } from './host-parts.ts';
import { createLog, type Log } from './log/log.ts';
import { FdStore } from './manager/fd-store.ts';

/** journald's priority of an error, in front of what is said before there is a log. */
const JOURNAL_ERROR = '<3>';
type Run = Extract<Parsed, { kind: 'run' }>;
const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/** Runs the daemon until a signal; the result is the exit code. */
export async function main(words: readonly string[]): Promise<number> {
  let log: Log | undefined;
  try {
    const parsed = parseFlags(words, process.env);
    if (parsed.kind === 'help') writeStderr(helpText());
    if (parsed.kind === 'version') writeStderr(`${programVersion()}\n`);
    if (parsed.kind !== 'run') return EXIT.ok;
    const settings = toSettings(parsed.values);
    log = createLog(settings.logFormat, settings.logLevel);
    endOnBugs(log);
    keepInspectorShut();
    closePrototypes();
    const signal = await runDaemons(parsed, settings, log);
    log.info({ signal, uptimeSeconds: Math.round(process.uptime()) }, 'stopped');
    return EXIT.ok;
  } catch (error) {
    return sayWhyItEnds(error, log);
  }
}

/**
 * One after the other: what a daemon can't follow (another subnet of this node) only a new one has. A service manager starts that one
 * itself; kubelet would wait longer and longer for it.
 */
async function runDaemons(parsed: Run, settings: Settings, log: Log): Promise<NodeJS.Signals> {
  const addon = loadAddon();
  runCommandsBy(nativeRunner(addon));
  const host = hardenedOnce(thisHost);
  const fds = FdStore.fromEnvironment(addon, process.env);
  // Before it is given up to write there.
  if (await makeTunNode()) log.info(`made ${TUN_NODE} in this container's own /dev`);
  for (;;) {
    fds.nextIsHere = false;
    const daemon = await createDaemon(parsed, settings, log, { addon, fds, host });
    try {
      return await runDaemon(daemon, fds, log);
    } catch (error) {
      if (!fds.nextIsHere) throw error;
      log.error(messageOf(error));
    }
  }
}

function startsAgain(failure: unknown, fds: FdStore): boolean {
  const isAgain = failure instanceof WeftError && failure.exitCode === EXIT.again;
  return isAgain && !fds.startsUsAgain;
}

/** What a process gives up it has given up for good, and its threads are not asked twice. */
function hardenedOnce(host: HostParts): HostParts {
  let result: ReturnType<HostParts['harden']> | undefined;
  return {
    ...host,
    harden: (...words) => {
      result ??= host.harden(...words);
      return result;
    },
  };
}

async function createDaemon(
  parsed: Run,
  settings: Settings,
  log: Log,
  parts: Pick<DaemonParts, 'addon' | 'fds' | 'host'>,
): Promise<Daemon> {
  const clock = systemClock;
  const { renewMarginMs, workers, startFromMemory, stateFolder } = settings;
  const live = await createRegistry(settings.store, { renewMarginMs, log, clock });
  const registry = startFromMemory ? remembering(live, { folder: stateFolder, log, clock }) : live;
  const options = effectiveOptions(parsed);
  const program = { node: process.version, kernel: os.release() };
  log.info({ store: registry.name, workers, ...program }, `starting weft ${programVersion()}`);
  for (const { text } of parsed.warnings) log.error(text);
  for (const { text } of settingsWarnings(parsed.values)) log.warn(text);
  return new Daemon({ ...parts, settings, options, registry, log, clock });
}

/** SIGUSR1 would open Node's inspector to every user of this host; a listener takes the signal from it. */
function keepInspectorShut(): void {
  process.on('SIGUSR1', () => undefined);
}

/** Until a signal, which is the result. */
async function runDaemon(daemon: Daemon, fds: FdStore, log: Log): Promise<NodeJS.Signals> {
  let heard: NodeJS.Signals | undefined;
  let hear: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    hear = resolve;
  });
  const onSignal = (signal: NodeJS.Signals): void => {
    // A second signal finds the default handlers and ends the process at once.
    for (const each of SIGNALS) process.removeListener(each, onSignal);
    heard = signal;
    hear();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  const onHangup = (): void => void daemon.reload();
  process.on('SIGHUP', onHangup);
  let failure: unknown;
  try {
    const started = daemon.start();
    await Promise.race([started, ended]);
    started.catch(() => undefined); // a start that is cut short by a signal fails on purpose
    await Promise.race([ended, daemon.failed]);
  } catch (error) {
    failure = error;
  }
  fds.nextIsHere = heard === undefined && startsAgain(failure, fds);
  // What fails here must not hide why it ends.
  await daemon.stop().catch((error: unknown) => log.error(`stop: ${messageOf(error)}`));
  process.removeListener('SIGHUP', onHangup);
  for (const each of SIGNALS) process.removeListener(each, onSignal);
  if (heard === undefined) throw failure;
  // Whoever asks for the end while it fails gets it: nothing is started again.
  if (failure !== undefined) log.error(messageOf(failure));
  return heard;
}

/** What nobody caught, rejections too, is a bug: say it and end, so that systemd starts a daemon whose state is known. */
function endOnBugs(log: Log): void {
  process.on('uncaughtException', (error: unknown, origin) => {
    sayBug(log, error, { origin });
    process.exit(EXIT.internal);
  });
}

/** Through the log as soon as there is one. The result is the exit code. */
function sayWhyItEnds(error: unknown, log: Log | undefined): number {
  const known = error instanceof WeftError ? error : systemErrorOf(error);
  const exitCode = known?.exitCode ?? EXIT.internal;
  if (!log) {
    const stack = known ? '' : `\n${(error as Error | undefined)?.stack ?? ''}`;
    const text = `weftd: ${printable(messageOf(known ?? error), MESSAGE_CHARACTERS_MAX)}${printableLines(stack)}`;
    const priority = isJournal() ? JOURNAL_ERROR : '';
    writeStderr(`${text.trimEnd().replace(/^/gm, priority)}\n`);
  } else if (known) log.fatal({ code: known.code, exitCode }, known.message);
  else sayBug(log, error, { exitCode });
  return exitCode;
}

function sayBug(log: Log, error: unknown, fields: object): void {
  const stack = error instanceof Error ? error.stack : undefined;
  log.fatal({ ...fields, stack }, `internal error: ${messageOf(error)}`);
}
