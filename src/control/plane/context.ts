/** What the parts of a data plane are made with. */
import type { Tunnel } from '../../cluster/kinds/kind.ts';
import type { Addon } from '../../memory/addon.ts';
import type { Settings } from '../../options/settings.ts';
import type { Log } from '../log/log.ts';
import type { FdStore } from '../manager/fd-store.ts';

export interface PlaneContext {
  addon: Addon;
  log: Log;
  /** descriptors of the process before, and for the one after */
  fds: FdStore;
  settings: Pick<Settings, 'workers' | 'features' | 'sourceCheck' | 'fastPath'>;
  tunnel: Tunnel;
}
