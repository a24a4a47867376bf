/** The registry that the settings ask for. */
import type { KubernetesSettings } from './kubernetes/settings.ts';
import type { Registry } from './registry.ts';
import { createStore } from './store/create.ts';
import type { KeyedOptions } from './store/keyed-lease.ts';
import { KeyedRegistry } from './store/keyed-registry.ts';
import type { StoreSettings } from './store/settings.ts';

/** Which registry, and how to reach it. */
export type RegistrySettings = StoreSettings | KubernetesSettings;

export async function createRegistry(
  settings: RegistrySettings,
  options: KeyedOptions,
): Promise<Registry> {
  if (settings.kind === 'kubernetes') {
    const { createKubernetesRegistry } = await import('./kubernetes/kubernetes-registry.ts');
    return createKubernetesRegistry(settings, options);
  }
  return new KeyedRegistry(await createStore(settings), options);
}
