/** weftd: flags, signals, exit codes. */
import os from 'node:os';
import { createRegistry } from '../cluster/create-registry.ts';
import { loadAddon } from '../memory/addon.ts';
import { effectiveOptions } from '../options/effective.ts';
import { helpText, parseFlags } from '../options/flags.ts';
import { settingsWarnings, toSettings } from '../options/settings.ts';
import { systemClock } from '../shared/clock.ts';
import { EXIT, messageOf, WeftError } from '../shared/errors.ts';
import { programVersion } from '../shared/version.ts';
import { Daemon } from './daemon.ts';
import { thisHost } from './host-parts.ts';
import { createLog, type Log } from './log/log.ts';
import { FdStore } from './manager/fd-store.ts';

/** Runs the daemon until a signal; the result is the exit code. */
export async function main(words: readonly string[]): Promise<number> {
  try {
    const parsed = parseFlags(words, process.env);
    if (parsed.kind === 'help') process.stderr.write(helpText());
    if (parsed.kind === 'version') process.stderr.write(`${programVersion()}\n`);
    if (parsed.kind !== 'run') return EXIT.ok;
    const settings = toSettings(parsed.values);
    const log = createLog(settings.logFormat, settings.logLevel);
    endOnBugs(log);
    const addon = loadAddon();
    const fds = FdStore.fromEnvironment(addon, process.env);
    const clock = systemClock;
    const { renewMarginMs } = settings;
    const registry = await createRegistry(settings.store, { renewMarginMs, log, clock });
    const options = effectiveOptions(parsed);
    const host = thisHost;
    const daemon = new Daemon({ settings, options, registry, log, addon, fds, clock, host });
    const program = { node: process.version, kernel: os.release() };
    log.info(
      { store: registry.name, workers: settings.workers, ...program },
      `weft ${programVersion()} starts`,
    );
    for (const { text } of parsed.warnings) log.error(text);
    for (const { text } of settingsWarnings(parsed.values)) log.warn(text);
    return await runDaemon(daemon);
  } catch (error) {
    process.stderr.write(`weftd: ${messageOf(error)}\n`);
    if (error instanceof WeftError) return error.exitCode;
    process.stderr.write(`${(error as Error).stack ?? ''}\n`);
    return EXIT.internal;
  }
}

/** What nobody caught is a bug: say it and end, so that systemd starts a daemon whose state is known. */
function endOnBugs(log: Log): void {
  process.on('uncaughtException', (error, origin) => {
    log.fatal({ origin, stack: error.stack }, `internal error: ${error.message}`);
    process.exit(EXIT.internal);
  });
}

async function runDaemon(daemon: Daemon): Promise<number> {
  const ended = new Promise<void>((resolve) => {
    const signals = ['SIGTERM', 'SIGINT'] as const;
    const onSignal = (): void => {
      // A second signal finds the default handlers and ends the process at once.
      for (const signal of signals) process.removeListener(signal, onSignal);
      resolve();
    };
    for (const signal of signals) process.on(signal, onSignal);
  });
  process.on('SIGHUP', () => void daemon.reload());
  try {
    const started = daemon.start();
    await Promise.race([started, ended]);
    started.catch(() => undefined); // a start that is cut short by a signal fails on purpose
    await ended;
    return EXIT.ok;
  } finally {
    await daemon.stop();
  }
}
