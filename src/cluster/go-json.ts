/** JSON as Go's encoding/json reads and writes it, where that differs from ours. */

/** Go escapes these three inside raw JSON. */
const ESCAPES: Record<string, string> = { '<': '\\u003c', '>': '\\u003e', '&': '\\u0026' };

export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&]/g, (c) => ESCAPES[c] as string);
}

/** Go's decoder takes keys in any case and the last of duplicates. */
export function lowerKeys(json: unknown): unknown {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return json;
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key.toLowerCase(), value]));
}
