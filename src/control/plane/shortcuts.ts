/** The shortcuts that settings and kind allow and this host can have. */
import { FEATURE } from '../../memory/layout.ts';
import type { PlaneContext } from './context.ts';
import type { Shortcut } from './shortcut.ts';
import { TunnelGso } from './tunnel-gso.ts';

export async function openShortcuts({
  addon,
  log,
  settings,
  tunnel,
}: PlaneContext): Promise<Shortcut[]> {
  const { workers, features } = settings;
  const isWanted = (features & FEATURE.tunnelGso) !== 0;
  if (tunnel.gsoVni === undefined || !isWanted) return [];
  const tunnelGso = await TunnelGso.open(addon, log, tunnel.gsoVni, workers);
  return tunnelGso ? [tunnelGso] : [];
}
