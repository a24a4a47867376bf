/**
 * Foreign text on its way to people: what a store, a peer, a file or another program wrote must act on no terminal, begin no line of a
 * log and fill no screen. Names and values are bounded where they enter a message; here and at every output the rest is made harmless.
 */

/** Characters of a name or value that are shown. */
export const FOREIGN_CHARACTERS_MAX = 100;
/** Of what another program said. */
export const SAID_CHARACTERS_MAX = 300;
/** Of a message of our own, whatever it quotes. */
export const MESSAGE_CHARACTERS_MAX = 1_000;

/** Controls, format characters (bidi overrides, what has no width), line and paragraph separators, halves of surrogate pairs. */
const ACTIVE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
const ALL_ACTIVE = new RegExp(ACTIVE, 'gu');
/** As {@link ACTIVE}, without what JSON.stringify escapes by itself or puts between lines. */
const ACTIVE_IN_JSON = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu;
const WORDS: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** The text with escapes for what would act, and with "…" for what is too much. What is harmless stays as it is. */
export function printable(text: string, charactersMax = FOREIGN_CHARACTERS_MAX): string {
  const isShort = text.length <= charactersMax;
  if (isShort && !ACTIVE.test(text)) return text;
  const shown = text.slice(0, charactersMax).replace(ALL_ACTIVE, (c) => WORDS[c] ?? escapeOf(c));
  if (isShort && shown.length <= charactersMax) return shown;
  return `${shown.slice(0, charactersMax - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** As {@link printable} for text that has lines: these stay, and so do tabs. */
export function printableLines(text: string): string {
  return text.replace(ALL_ACTIVE, (c) => (c === '\n' || c === '\t' ? c : escapeOf(c)));
}

/** A copy of plain data whose texts, keys included, are printable. */
export function printableData<T>(data: T, charactersMax = MESSAGE_CHARACTERS_MAX): T {
  const copy = (value: unknown): unknown => {
    if (typeof value === 'string') return printable(value, charactersMax);
    if (Array.isArray(value)) return value.map(copy);
    if (!isPlainObject(value)) return value;
    const entries = Object.entries(value);
    return Object.fromEntries(entries.map(([k, v]) => [printable(k, charactersMax), copy(v)]));
  };
  return copy(data) as T;
}

/** JSON of the same value in which nothing acts on a terminal. */
export function printableJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(ACTIVE_IN_JSON, escapeOf);
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** As JSON writes it. */
function escapeOf(character: string): string {
  const units = Array.from({ length: character.length }, (_, i) => character.charCodeAt(i));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}
