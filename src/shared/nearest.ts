/** Which known name somebody probably meant. */

/** The known name with the fewest edits, undefined when none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const most = Math.max(1, Math.floor(name.length / 3));
  const ranked = known.map((candidate) => ({ candidate, edits: editsBetween(name, candidate) }));
  const [best] = ranked.sort((a, b) => a.edits - b.edits);
  return best && best.edits <= most ? best.candidate : undefined;
}

/** Inserted, removed, replaced or swapped letters; their case does not count. */
function editsBetween(first: string, second: string): number {
  const [a, b] = [first.toLowerCase(), second.toLowerCase()];
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, i) => i)];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= a.length; i++) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      const isSwap = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const edits = [
        at(i - 1, j - 1) + (isSame ? 0 : 1),
        at(i - 1, j) + 1,
        at(i, j - 1) + 1,
        isSwap ? at(i - 2, j - 2) + 1 : Number.POSITIVE_INFINITY,
      ];
      rows[i]?.push(Math.min(...edits));
    }
  }
  return at(a.length, b.length);
}
