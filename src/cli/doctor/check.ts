/** What a check of the doctor is, and what it finds. Ids, groups and states are a promise to scripts. */
import { printable } from '../../shared/printable.ts';
import type { OverlayProbe } from './overlay-probe.ts';
import type { Site } from './site.ts';

export type Status = 'ok' | 'warn' | 'fail' | 'skipped';
export const GROUPS = [
  'program',
  'host',
  'store',
  'kubernetes',
  'underlay',
  'overlay',
  'firewall',
] as const;
export type Group = (typeof GROUPS)[number];

/** `text` has the figures; `fix` is one line, a command where there is one. */
export interface Finding {
  status: Status;
  text: string;
  fix?: string;
}

interface CheckFacts {
  /** stable, kebab-case */
  id: string;
  group: Group;
  /** the worst that it reports: info checks only tell */
  severity: 'fail' | 'warn' | 'info';
  title: string;
  /** what it looks at is root's: for anybody else it is skipped, and nothing is broken */
  needsRoot?: true;
}

/** Looks at this host, its daemon and the store. Changes nothing. What it throws is told as "skipped"; it has {@link LIMIT_MS}. */
export interface LocalCheck extends CheckFacts {
  network?: never;
  run(site: Site): Finding | Promise<Finding>;
}

/**
 * Sends to the peers, or judges what came back: runs behind the others, so that these do not disturb it. `overlay` asks the peers
 * when the first check wants to know; all share the answers.
 */
export interface NetworkCheck extends CheckFacts {
  network: true;
  run(site: Site, overlay: () => Promise<OverlayProbe>): Finding | Promise<Finding>;
}

export type Check = LocalCheck | NetworkCheck;

export const LIMIT_MS = 5_000;

export const ok = (text: string): Finding => ({ status: 'ok', text });
export const skipped = (why: string): Finding => ({ status: 'skipped', text: why });
export const warn = (text: string, fix: string): Finding => ({ status: 'warn', text, fix });
export const fail = (text: string, fix: string): Finding => ({ status: 'fail', text, fix });

/** Names for a sentence: the first few, and how many more. */
export function someOf(names: readonly string[], most = 4): string {
  const shown = names
    .slice(0, most)
    .map((name) => printable(name))
    .join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
