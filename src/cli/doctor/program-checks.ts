/** Checks of the program itself and of the daemon that runs. */
import { access, constants } from 'node:fs/promises';
import { loadAddon } from '../../memory/addon.ts';
import { DROP_REASONS, type DropName } from '../../memory/drops.ts';
import { messageOf } from '../../shared/errors.ts';
import { fastPathText } from '../commands/status.ts';
import { verdictOf, whyNotHealthy } from '../health-text.ts';
import { renderAge, renderMinutes } from '../render.ts';
import { type Check, type Finding, fail, ok, skipped, someOf, warn } from './check.ts';
import { NOT_ROOT } from './rights.ts';
import type { Judged } from './settings.ts';
import type { StatusPage } from './site.ts';

const EVENT_AGE_MS = 300_000;
const NO_DAEMON = 'no daemon answers';

export function judgeNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return ok(`Node ${version}`);
  return fail(`Node ${version}; weft needs 20.19 or newer`, 'install Node 22 or 24');
}

export function judgeFlags({ problem, warnings, origin }: Judged): Finding {
  if (problem !== '') return fail(`${problem} (from ${origin})`, 'correct the flag: weftd --help');
  if (warnings.length === 0) return ok(`from ${origin}`);
  return warn(someOf(warnings), 'remove or correct them: docs/reference/options.md');
}

export function judgeWorkers(workers: NonNullable<StatusPage['workers']>): Finding {
  const bad = workers.flatMap(({ state }, i) => (state === 'running' ? [] : `${i} (${state})`));
  if (bad.length > 0)
    return fail(
      `workers not running: ${bad.join(', ')} of ${workers.length}`,
      'systemctl restart weftd; look at its log first: journalctl -u weftd',
    );
  const restarts = workers.reduce((sum, worker) => sum + worker.restarts, 0);
  if (restarts === 0) return ok(`${workers.length} running, none was restarted`);
  return warn(`${restarts} restarts of ${workers.length} workers`, 'journalctl -u weftd -p err');
}

/** What the daemon and its threads gave up; a kernel that can't is no fault of the node. */
export function judgeHardening({ hardening, workers = [] }: Partial<StatusPage>): Finding {
  if (!hardening) return skipped('this daemon does not say');
  const { noDump, noRings, files } = hardening;
  const named = { 'no dump': noDump, 'no io_uring': noRings, files };
  const ofProcess = Object.entries(named).map(([name, text]) => `${name} ${text}`);
  const states = new Set(
    workers.map((w) => `capabilities ${w.capabilities}, seccomp ${w.seccomp}`),
  );
  return ok([...ofProcess, ...[...states].map((text) => `threads: ${text}`)].join('; '));
}

/** What grows on a node that is all right. */
const HARMLESS: ReadonlySet<string> = new Set<DropName>([
  'outMulticast',
  'outStandingQueue',
  'inStandingQueue',
]);

/** `before` and `after`: all drops at two moments. Only what grows is a problem of now. */
export function judgeDrops(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Finding {
  const growing = Object.keys(after)
    .map((name) => ({ name, more: (after[name] ?? 0) - (before[name] ?? 0) }))
    .filter(({ name, more }) => more > 0 && !HARMLESS.has(name))
    .sort((a, b) => b.more - a.more);
  const total = Object.values(after).reduce((sum, count) => sum + count, 0);
  const [top] = growing;
  if (!top) return ok(`none while the doctor looked; ${total} since the start`);
  const list = growing.map(({ name, more }) => `${name} +${more}`);
  const advice = DROP_REASONS[top.name as DropName]?.advice ?? 'weft drops';
  return warn(`growing: ${someOf(list)}`, advice);
}

export const PROGRAM_CHECKS: readonly Check[] = [
  {
    id: 'node-version',
    group: 'program',
    severity: 'fail',
    title: 'Node',
    run: () => judgeNode(process.versions.node),
  },
  {
    id: 'native-addon',
    group: 'program',
    severity: 'fail',
    title: 'native addon',
    run: () => {
      try {
        return ok(`loads, checksums by ${loadAddon().checksumName()}`);
      } catch (error) {
        return fail(messageOf(error), 'npm run setup');
      }
    },
  },
  {
    id: 'settings',
    group: 'program',
    severity: 'fail',
    title: 'flags and variables',
    run: (site) => judgeFlags(site.judged),
  },
  {
    id: 'daemon',
    group: 'program',
    severity: 'warn',
    title: 'daemon',
    run: async (site) => {
      const status = await site.status();
      if (!('error' in status)) {
        const page = status as StatusPage;
        if (page.healthy) return ok(`weftd runs (process ${page.pid}), healthy`);
        const why = whyNotHealthy(page);
        return warn(`weftd runs, ${verdictOf(page)}: ${why}`, 'see the failed checks; weft status');
      }
      const code = await access(site.adminSocket, constants.W_OK).then(
        () => '',
        (error: NodeJS.ErrnoException) => error.code,
      );
      if (code === 'EACCES') return skipped(NOT_ROOT);
      // A daemon takes its socket away when it ends.
      const isStale = code === '' ? ', though the socket is there: it was killed, or hangs' : '';
      return warn(`no weftd answers at ${site.adminSocket}${isStale}`, 'systemctl restart weftd');
    },
  },
  {
    id: 'workers',
    group: 'program',
    severity: 'fail',
    title: 'workers',
    run: async (site) => {
      const status = await site.daemon();
      if (!status) return skipped(NO_DAEMON);
      return status.workers ? judgeWorkers(status.workers) : skipped('this backend has none');
    },
  },
  {
    id: 'hardening',
    group: 'program',
    severity: 'info',
    title: 'what the daemon has given up',
    run: async (site) => {
      const status = await site.daemon();
      return status ? judgeHardening(status) : skipped(NO_DAEMON);
    },
  },
  {
    id: 'drops',
    group: 'program',
    severity: 'warn',
    network: true,
    title: 'drops',
    run: async (site, overlay) => {
      const before = await site.daemon();
      if (!before?.drops) return skipped(NO_DAEMON);
      await overlay();
      const after = await site.freshStatus();
      if ('error' in after) return skipped(NO_DAEMON);
      const page = after as StatusPage;
      return judgeDrops(allDrops(before), allDrops(page));
    },
  },
  {
    id: 'offloads',
    group: 'program',
    severity: 'info',
    title: 'kernel features in use',
    run: async (site) => {
      const status = await site.daemon();
      return status?.offloads ? ok(status.offloads.join(', ')) : skipped(NO_DAEMON);
    },
  },
  {
    id: 'fast-path',
    group: 'program',
    severity: 'info',
    title: 'TCP past the workers',
    run: async (site) => {
      const status = await site.daemon();
      if (!status) return skipped(NO_DAEMON);
      const { fastPath, counters } = status;
      return fastPath ? ok(fastPathText(fastPath, counters)) : skipped('this daemon does not say');
    },
  },
  {
    id: 'store-events',
    group: 'store',
    severity: 'warn',
    title: 'watch of the store',
    run: async (site) => {
      const status = await site.daemon();
      if (!status) return skipped(NO_DAEMON);
      return judgeStoreEvents(status.store, Date.now());
    },
  },
];

/** Exported for tests. */
export function judgeStoreEvents(store: StatusPage['store'], nowMs: number): Finding {
  const { ok: isOk, message, lastEventAt, rememberedAt } = store;
  const knownAt = lastEventAt ?? rememberedAt ?? null;
  const ageMs = knownAt === null ? 0 : nowMs - Date.parse(knownAt);
  const age = knownAt === null ? 'no list of leases yet' : `last event ${renderAge(ageMs)} ago`;
  if (isOk) return ok(age);
  if (rememberedAt)
    return warn(
      `the daemon started from memory, ${renderMinutes(ageMs)} old, because its store does not answer (${message})`,
      'bring the store back before the lease ends: then this node stops forwarding',
    );
  const text = `the daemon has lost its store (${message}); ${age}`;
  const fix = 'bring the store back; forwarding goes on with the last table';
  return ageMs > EVENT_AGE_MS ? fail(text, fix) : warn(text, fix);
}

function allDrops({ drops }: StatusPage): Record<string, number> {
  return { ...drops?.outbound, ...drops?.inbound };
}
