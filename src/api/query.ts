/** What a page may be asked: names, limits, and how both ends of the socket read and write them. */
import * as z from 'zod';

/** A whole number in decimal digits. */
export function wholeIn(min: number, max: number) {
  const error = `a whole number from ${min} to ${max} is expected`;
  const digits = z.string().regex(/^\d{1,16}$/, error);
  return digits.transform(Number).pipe(z.number().int().min(min, error).max(max, error));
}

/**
 * Throws RangeError "key: what is expected", with something before it, for the first key that does not fit; keys that the shape does
 * not have are ignored.
 */
export function parseQuery<Shape extends z.ZodObject>(
  shape: Shape,
  query: URLSearchParams,
  before = '',
): z.output<Shape> {
  const parsed = shape.safeParse(Object.fromEntries(query));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new RangeError(`${before}${issue?.path.join('.')}: ${issue?.message}`);
}
