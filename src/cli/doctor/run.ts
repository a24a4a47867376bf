/** All checks, and a run of them: together, each with its own limit; one that fails does not hold up the others. */
import { messageOf } from '../../shared/errors.ts';
import { once } from '../../shared/memo.ts';
import { renderAmount } from '../render.ts';
import {
  type Check,
  type Finding,
  GROUPS,
  LIMIT_MS,
  type NetworkCheck,
  type Status,
  skipped,
} from './check.ts';
import { CNI_CHECKS } from './cni-checks.ts';
import { DEVICE_CHECKS } from './device-checks.ts';
import { FIREWALL_CHECKS } from './firewall-checks.ts';
import { HOST_CHECKS } from './host-checks.ts';
import { KUBERNETES_CHECKS } from './kubernetes-checks.ts';
import { MEMORY_CHECK } from './memory-check.ts';
import { NEIGHBOUR_CHECKS } from './neighbour-checks.ts';
import { probeOverlay } from './overlay-probe.ts';
import { PATH_CHECKS } from './path-checks.ts';
import { PROGRAM_CHECKS } from './program-checks.ts';
import { isRoot, NOT_ROOT } from './rights.ts';
import type { Site } from './site.ts';
import { STORE_CHECKS } from './store-checks.ts';
import { UNDERLAY_CHECKS } from './underlay-checks.ts';

/** In the order in which they are shown: by group, then as they stand in their files. */
export const CHECKS: readonly Check[] = [
  ...PROGRAM_CHECKS,
  ...HOST_CHECKS,
  ...STORE_CHECKS,
  MEMORY_CHECK,
  ...KUBERNETES_CHECKS,
  ...CNI_CHECKS,
  ...UNDERLAY_CHECKS,
  ...PATH_CHECKS,
  ...DEVICE_CHECKS,
  ...NEIGHBOUR_CHECKS,
  ...FIREWALL_CHECKS,
].sort((a, b) => GROUPS.indexOf(a.group) - GROUPS.indexOf(b.group));

export type Result = {
  id: string;
  group: string;
  status: Status;
  severity: Check['severity'];
  title: string;
  text: string;
  fix: string | null;
};

/** What checks share is read first and asked of the peers in between, so that a check's time is its own. */
export async function runChecks(site: Site, checks: readonly Check[]): Promise<Result[]> {
  const shared = [site.status(), site.external(), site.ownLease(), site.links()];
  await atMost(Promise.allSettled(shared), undefined);
  const overlay = once(() => probeOverlay(site));
  const found = new Map<Check, Result>();
  const finish = async (check: Check, work: () => ReturnType<Check['run']>): Promise<unknown> =>
    found.set(check, await resultOf(check, work));
  const local = checks.filter((check) => !check.network);
  await Promise.all(local.map((check) => finish(check, () => check.run(site))));
  const late = checks.filter((check): check is NetworkCheck => check.network === true);
  if (late.length > 0) await atMost(Promise.allSettled([overlay()]), undefined);
  await Promise.all(late.map((check) => finish(check, () => check.run(site, overlay))));
  return checks.map((check) => found.get(check) as Result);
}

/** The line that stands first where checks could not look. */
export function noticeOf(results: readonly Result[]): string | undefined {
  const hidden = results.filter(({ status, text }) => status === 'skipped' && text === NOT_ROOT);
  if (hidden.length === 0) return undefined;
  return `not root: ${renderAmount(hidden.length, 'check')} skipped; run: sudo weft doctor`;
}

async function resultOf(check: Check, run: () => ReturnType<Check['run']>): Promise<Result> {
  const isHidden = check.needsRoot === true && !isRoot();
  const work = (async () => (isHidden ? skipped(NOT_ROOT) : run()))().catch((error: unknown) =>
    skipped(messageOf(error)),
  );
  const late: Finding = skipped(`no result in ${LIMIT_MS / 1000} s`);
  const { status, text, fix } = await atMost<Finding>(work, late);
  const { id, group, severity, title } = check;
  return { id, group, status, severity, title, text: text.replaceAll('\n', ' '), fix: fix ?? null };
}

/** The result, or `otherwise` when it takes longer than a check may. */
async function atMost<T>(work: Promise<T>, otherwise: T): Promise<T>;
async function atMost<T>(work: Promise<T>, otherwise: undefined): Promise<T | undefined>;
async function atMost<T>(work: Promise<T>, otherwise: T | undefined): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<T | undefined>((resolve) => {
    timer = setTimeout(resolve, LIMIT_MS, otherwise);
  });
  const first = await Promise.race([work, late]);
  clearTimeout(timer);
  return first;
}
