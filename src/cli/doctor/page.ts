/** The documentation page of the checks, from the registry. */
import { CHECKS } from './run.ts';

export function renderDoctorPage(): string {
  const rows = CHECKS.map(
    ({ id, group, severity, title }) => `| \`${id}\` | ${group} | ${severity} | ${title} |`,
  );
  return [
    '# Checks of weft doctor',
    '',
    'Ids do not change. "worst" is the worst that a check reports: `fail` makes the exit code 1, `warn` and `info` do not. Made by scripts/docs.mjs.',
    '',
    '| id | group | worst | what is looked at |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
