/** The documentation page of drop reasons, from the one table. */
import { DROP_NAMES, DROP_REASONS } from '../memory/drops.ts';

export function renderDrops(): string {
  const rows = DROP_NAMES.map((name) => {
    const { direction, text, advice } = DROP_REASONS[name];
    return `| ${name} | ${direction} | ${text} | ${advice} |`;
  });
  return [
    '# Drop reasons',
    '',
    'Every packet that is not forwarded is counted under exactly one of these. Made by scripts/docs.mjs.',
    '',
    '| name | direction | what | what to do |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
