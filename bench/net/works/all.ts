/** Every kind of work, in the order of the tables. */
import { floodWorks, zeroLossWorks } from './flood.ts';
import { httpWorks } from './http.ts';
import { pacedWorks } from './paced.ts';
import { tcpWorks } from './tcp.ts';
import { tripWorks } from './trips.ts';
import type { Work } from './work.ts';

export const WORKS: readonly Work[] = [
  ...tcpWorks,
  ...floodWorks,
  ...zeroLossWorks,
  ...pacedWorks,
  ...tripWorks,
  ...httpWorks,
];
