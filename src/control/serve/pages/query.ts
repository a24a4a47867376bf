/** Reading what a page was asked. What does not fit is refused with the name of the key. */

/** A whole number in a range; undefined when the key is not there. */
export function readWhole(
  query: URLSearchParams,
  key: string,
  min: number,
  max: number,
): number | undefined {
  const text = query.get(key);
  if (text === null) return undefined;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new RangeError(`${key}: a whole number from ${min} to ${max} is expected`);
}
