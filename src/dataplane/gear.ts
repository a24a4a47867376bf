/** What both directions of all links of a worker share. */
import type { Addon } from '../memory/addon.ts';
import type { BulkFlows } from './bulk-flows.ts';
import type { Drops } from './drop.ts';
import type { LocalAddresses } from './local-addresses.ts';
import type { Pool } from './pool.ts';
import type { RouteTable } from './routes/table.ts';

export interface Gear {
  addon: Addon;
  engine: number;
  pool: Pool;
  table: RouteTable;
  localAddresses: LocalAddresses;
  control: Int32Array;
  counters: Float64Array;
  /** layout: shared/peer-counters.ts */
  peerCounters: Float64Array;
  drops: Drops;
  bulkFlows: BulkFlows;
}
