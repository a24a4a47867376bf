/** Regular expressions as Go writes them (RE2, https://github.com/google/re2/wiki/Syntax), compiled by JavaScript. */

/** What both have under different names. */
const CLASSES: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  digit: '0-9',
  lower: 'a-z',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
};
/** What JavaScript would take for letters, or match otherwise: better refused than matching nothing in silence. */
const FOREIGN = /\\[pPQEC]|\[:\^?\w+:\]|\(\?[a-zA-Z]*U|\(\?[imsU-]+:/;

/** Throws a SyntaxError, or an Error that names what Go has and JavaScript does not. */
export function compileGoPattern(text: string): RegExp {
  const [, flags = '', body = text] = /^\(\?([ims]+)\)(.*)$/s.exec(text) ?? [];
  const translated = body
    .replace(/\[:(\w+):\]/g, (whole, name: string) => CLASSES[name] ?? whole)
    .replace(/\\A/g, '^')
    .replace(/\\z/g, '$')
    .replace(/\(\?P</g, '(?<');
  const foreign = FOREIGN.exec(translated)?.[0];
  if (foreign !== undefined) throw new Error(`"${foreign}" only works in Go; leave it out`);
  return new RegExp(translated, flags);
}
