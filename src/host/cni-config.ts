/** The CNI configuration of this host, as container runtimes look for it (libcni ConfFiles): the first file by name is the pods' network. */
import { access, constants, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';

export const CNI_CONFIG_FOLDER = '/etc/cni/net.d';
export const CNI_PLUGIN_FOLDER = '/opt/cni/bin';

/** One network. */
export interface CniNetwork {
  file: string;
  /** types of its plugins, in their order; none: the file is not understood */
  types: readonly string[];
  /** the bridge that flannel's or weft's plugin has made, where it names one */
  bridge: string | undefined;
}

const plugin = z.object({
  type: z.string(),
  delegate: z.object({ bridge: z.string().optional(), type: z.string().optional() }).optional(),
});
const network = z.union([z.object({ plugins: z.array(plugin).min(1) }), plugin]);

/** Types of one program: the plugin that reads subnet.env. */
const OURS: readonly string[] = ['flannel', 'weft'];

export function isOurs({ types }: CniNetwork): boolean {
  return types.some((type) => OURS.includes(type));
}

/** In the order of their names; undefined where the folder is not there. */
export async function readCniNetworks(
  folder = CNI_CONFIG_FOLDER,
): Promise<CniNetwork[] | undefined> {
  const names = await readdir(folder).catch(() => undefined);
  const files = names?.filter((name) => /\.(conf|conflist|json)$/.test(name)).sort();
  const read = async (file: string): Promise<CniNetwork> =>
    networkIn(file, await readFile(path.join(folder, file), 'utf8').catch(() => ''));
  return files && Promise.all(files.map(read));
}

/** Pure. */
export function networkIn(file: string, text: string): CniNetwork {
  const none = { file, types: [], bridge: undefined };
  try {
    const found = network.parse(JSON.parse(text));
    const plugins = 'plugins' in found ? found.plugins : [found];
    const own = plugins.find(({ type }) => OURS.includes(type));
    const delegates = own ? [own.delegate?.type ?? 'bridge', 'host-local'] : [];
    const types = [...plugins.map(({ type }) => type), ...delegates];
    return { file, types: [...new Set(types)], bridge: own?.delegate?.bridge };
  } catch {
    return none;
  }
}

/** Those of these programs that are not in the folder, or can't be executed. */
export async function missingPlugins(
  names: readonly string[],
  folder = CNI_PLUGIN_FOLDER,
): Promise<string[]> {
  const missing: string[] = [];
  for (const name of names) {
    const file = path.join(folder, path.basename(name));
    const runs = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (!runs) missing.push(name);
  }
  return missing;
}
