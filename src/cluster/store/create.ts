/** The store that the settings ask for. */

import { FileStore } from './file.ts';
import type { StoreSettings } from './settings.ts';
import type { Store } from './store.ts';

/** etcd's client is loaded only where it is used: it takes some 20 MB. */
export async function createStore(settings: StoreSettings): Promise<Store> {
  if (settings.kind === 'file') return new FileStore(settings.folder);
  const { EtcdStore } = await import('./etcd.ts');
  return new EtcdStore(settings);
}
