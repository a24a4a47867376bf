/** The shortcuts that settings and kind allow and this host can have. */
import { FEATURE } from '../../memory/layout.ts';
import { FastPath } from '../fast-path/fast-path.ts';
import { removeMerger } from '../fast-path/merger.ts';
import type { PlaneContext } from './context.ts';
import type { Shortcut } from './shortcut.ts';
import { TunnelGso } from './tunnel-gso.ts';

export async function openShortcuts({
  addon,
  log,
  settings,
  tunnel,
}: PlaneContext): Promise<Shortcut[]> {
  const { workers, features, fastPath: mode, sourceCheck } = settings;
  const vni = tunnel.gsoVni;
  if (vni === undefined) return [];
  // A daemon that was killed may have left it, and this one may have no use for it.
  await removeMerger(vni);
  const shortcuts: Shortcut[] = [];
  if ((features & FEATURE.tunnelGso) !== 0) {
    const tunnelGso = await TunnelGso.open(addon, log, vni, workers);
    if (tunnelGso) shortcuts.push(tunnelGso);
  }
  if (mode !== 'off') {
    const { port } = tunnel.encap;
    shortcuts.push(new FastPath(addon, log, { mode, vni, port, sourceCheck }));
  }
  return shortcuts;
}
