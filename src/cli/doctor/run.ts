/** All checks, and a run of them: together, each with its own limit; one that fails does not hold up the others. */
import { messageOf } from '../../shared/errors.ts';
import { type Check, type Finding, GROUPS, LIMIT_MS, type Status, skipped } from './check.ts';
import { DEVICE_CHECKS } from './device-checks.ts';
import { FIREWALL_CHECKS } from './firewall-checks.ts';
import { HOST_CHECKS } from './host-checks.ts';
import { PATH_CHECKS } from './path-checks.ts';
import { PROGRAM_CHECKS } from './program-checks.ts';
import type { Site } from './site.ts';
import { STORE_CHECKS } from './store-checks.ts';
import { UNDERLAY_CHECKS } from './underlay-checks.ts';

/** In the order in which they are shown: by group, then as they stand in their files. */
export const CHECKS: readonly Check[] = [
  ...PROGRAM_CHECKS,
  ...HOST_CHECKS,
  ...STORE_CHECKS,
  ...UNDERLAY_CHECKS,
  ...PATH_CHECKS,
  ...DEVICE_CHECKS,
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

export async function runChecks(site: Site, checks: readonly Check[]): Promise<Result[]> {
  return Promise.all(checks.map((check) => runCheck(site, check)));
}

async function runCheck(site: Site, check: Check): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Finding>((resolve) => {
    timer = setTimeout(resolve, LIMIT_MS, skipped(`no result in ${LIMIT_MS / 1000} s`));
  });
  const work = (async () => check.run(site))().catch((error: unknown) => skipped(messageOf(error)));
  const { status, text, fix } = await Promise.race([work, late]);
  clearTimeout(timer);
  const { id, group, severity, title } = check;
  return { id, group, status, severity, title, text: text.replaceAll('\n', ' '), fix: fix ?? null };
}
