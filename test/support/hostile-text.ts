/** Texts that must not reach a terminal or a log as they are, and what to look for there. */
import fc from 'fast-check';

/** Each acts on a terminal, begins a line of a log, turns text around, or fills a screen. */
export const HOSTILE_TEXTS: readonly string[] = [
  'a\n<0>weftd: forged',
  'a\r\n{"level":60,"msg":"forged"}',
  'a\u001b]0;title\u0007\u001b[2J\u001b[31mred',
  'a\u009b2Jb\u0090c\u0085d\u007f',
  'a\u0000b',
  'abc\u202ecba\u2066x\u2069',
  'a\u2028b\u2029c',
  'a\ud800b',
  'b\udc00a',
  'a\u200bb\ufeffc\u{e0041}',
  'x'.repeat(5_000),
  '\u001b'.repeat(5_000),
  '\u{1f600}'.repeat(5_000),
];

export const hostileText = fc.oneof(
  fc.constantFrom(...HOSTILE_TEXTS),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc
    .array(fc.constantFrom(...HOSTILE_TEXTS, 'a', ' ', '%s', '="'), { maxLength: 5 })
    .map((parts) => parts.join('')),
);

/** What acts, besides line ends. */
const ACTIVE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

/** The first part of an output that acts on a terminal, as JSON; '' when there is none. Tabs only where they are promised. */
export function activeIn(output: string, allowed = '\n'): string {
  const line = output
    .split('')
    .filter((c) => !allowed.includes(c))
    .join('');
  const at = line.search(ACTIVE);
  return at < 0 ? '' : JSON.stringify(line.slice(Math.max(0, at - 20), at + 20));
}
