/** Takes secrets out of text that is going to be shared. */

export const REMOVED = '(removed)';
const WORD =
  '[\\w.-]*(?:passw(?:or)?d|passphrase|secret|token|authorization|credential|private[_-]?key|api[_-]?key)[\\w.-]*';

const RULES: readonly [pattern: RegExp, replacement: string][] = [
  // PEM: keys, and certificates with them
  [/-----BEGIN [A-Z ]+-----[\s\S]*?(?:-----END [A-Z ]+-----|$)/g, REMOVED],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{8,}/g, `$1 ${REMOVED}`],
  // user:password@ in front of a host
  [/([a-z][a-z0-9+.-]*:\/\/)[^\s/@"']+@/gi, `$1${REMOVED}@`],
  // JSON, also within a string: "password": "…"
  [new RegExp(`(\\\\?"${WORD}\\\\?"\\s*:\\s*\\\\?")(?:\\\\.|[^"\\\\])*`, 'gi'), `$1${REMOVED}`],
  // FLANNELD_ETCD_PASSWORD=…, --etcd-password=…, --etcd-password …, password: …
  [
    new RegExp(`(\\b${WORD}\\s*[=:]\\s*)("[^"]*"|'[^']*'|(?!\\\\?")[^\\s,;]+)`, 'gi'),
    `$1${REMOVED}`,
  ],
  [new RegExp(`(--?${WORD}\\s+)(?!-)\\S+`, 'gi'), `$1${REMOVED}`],
];

/** Too short to be told from other text. */
const SECRET_LENGTH_MIN = 6;

/** `secrets`: values that are known to be secret, wherever they stand. */
export function redact(text: string, secrets: readonly string[] = []): string {
  let result = text;
  for (const secret of secrets) {
    if (secret.length < SECRET_LENGTH_MIN) continue;
    const forms = [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)];
    for (const form of new Set(forms)) result = result.replaceAll(form, REMOVED);
  }
  for (const [pattern, replacement] of RULES) result = result.replace(pattern, replacement);
  return result;
}

/** Secrets among variables and command lines of programs: so that they are found elsewhere too. */
export function secretsIn(words: readonly string[]): string[] {
  const name = new RegExp(`^-{0,2}(${WORD})(?:=([\\s\\S]*))?$`, 'i');
  const userInfo = words.flatMap((word) =>
    [...word.matchAll(/:\/\/([^\s/@:]+)(?::([^\s/@]+))?@/g)].flatMap(
      (match) => match[2] ?? match[1] ?? [],
    ),
  );
  const named = words.flatMap((word, i) => {
    const match = name.exec(word);
    if (!match) return [];
    return match[2] ?? (word.startsWith('-') ? (words[i + 1] ?? []) : []);
  });
  return [...new Set([...named, ...userInfo])].filter((secret) => secret !== '');
}
