/** Colour for people: only where somebody looks, never in a pipe, and not where NO_COLOR is set (no-color.org). */

export type ColorChoice = 'auto' | 'always' | 'never';

/** Each gives back its text, coloured or as it is. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  warn(text: string): string;
  bad(text: string): string;
  info(text: string): string;
}

const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  good: [32, 39],
  warn: [33, 39],
  bad: [31, 39],
  info: [36, 39],
} as const;

export const PLAIN: Style = styleOf(false);

/** The style for a stream. */
export function chooseStyle(
  choice: ColorChoice,
  stream: { isTTY?: boolean },
  environment: NodeJS.ProcessEnv = process.env,
): Style {
  if (choice !== 'auto') return styleOf(choice === 'always');
  const isWanted = !environment['NO_COLOR'] && environment['TERM'] !== 'dumb';
  return styleOf(stream.isTTY === true && isWanted);
}

function styleOf(isColoured: boolean): Style {
  const paint = (name: keyof typeof CODES) => (text: string) =>
    isColoured ? `\u001b[${CODES[name][0]}m${text}\u001b[${CODES[name][1]}m` : text;
  const [bold, dim, good] = [paint('bold'), paint('dim'), paint('good')];
  return { bold, dim, good, warn: paint('warn'), bad: paint('bad'), info: paint('info') };
}
