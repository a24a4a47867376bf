/** The highest value that passes a trial, by halving. */

export interface Bisection {
  /** nothing above it is tried; it is tried first */
  upper: number;
  /** ends when the bounds are so near to each other, as a share of the upper one */
  precision: number;
  /** how often a value is tried before it counts as failed */
  attempts: number;
  passes(value: number): Promise<boolean>;
}

export interface Found {
  /** the highest that passed; 0 when none did */
  highest: number;
  /** the lowest that failed, or `upper` when that passed */
  limit: number;
  trials: number;
}

/** Values so small beside `upper` that the search gives up there. */
const LEAST_SHARE = 1 / 1024;

export async function highestPassing(search: Bisection): Promise<Found> {
  const { upper, precision, attempts } = search;
  let trials = 0;
  const passes = async (value: number): Promise<boolean> => {
    for (let attempt = 0; attempt < attempts; attempt++) {
      trials++;
      if (await search.passes(value)) return true;
    }
    return false;
  };
  if (await passes(upper)) return { highest: upper, limit: upper, trials };
  let highest = 0;
  let limit = upper;
  while (limit - highest > precision * limit && limit > upper * LEAST_SHARE) {
    const middle = (highest + limit) / 2;
    if (await passes(middle)) highest = middle;
    else limit = middle;
  }
  return { highest, limit, trials };
}
