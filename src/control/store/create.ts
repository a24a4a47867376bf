/** The store that the settings ask for. */
import type { StoreSettings } from '../config/settings.ts';
import { EtcdStore } from './etcd.ts';
import { FileStore } from './file.ts';
import type { Store } from './store.ts';

export function createStore(settings: StoreSettings): Store {
  return settings.kind === 'file' ? new FileStore(settings.folder) : new EtcdStore(settings);
}
