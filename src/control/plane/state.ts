/** What a node keeps between runs besides its lease: the VTEP MACs, which flannel keeps only in the kernel device, and whose device not to touch. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { formatMac, type Mac, parseMac } from '../../shared/address.ts';
import { writeFileAtomically } from '../../shared/files.ts';

const shape = z.object({
  macs: z.record(z.string(), z.string()),
  owned: z.array(z.string()).optional(),
});

export interface NodeState {
  /** by device name */
  macs: Record<string, Mac>;
  /** MACs of devices that another flannel made again when we had removed them */
  owned?: string[];
}

/** Reads the state; a missing or broken file is an empty state. */
export async function readState(folder: string): Promise<Required<NodeState>> {
  const text = await readFile(path.join(folder, 'state.json'), 'utf8').catch(() => '{}');
  const macs: Record<string, Mac> = {};
  let owned: string[] = [];
  try {
    const parsed = shape.safeParse(JSON.parse(text));
    owned = parsed.data?.owned ?? [];
    for (const [device, textMac] of Object.entries(parsed.data?.macs ?? {})) {
      const mac = parseMac(textMac);
      if (mac) macs[device] = mac;
    }
  } catch {
    // not JSON: start afresh, peers learn the new MAC from the lease
  }
  return { macs, owned };
}

/** Costs nothing when the file says this already: writing waits for the disk, and packets for us. */
export async function writeState(folder: string, state: NodeState): Promise<void> {
  const macs = Object.fromEntries(
    Object.entries(state.macs).map(([device, mac]) => [device, formatMac(mac)]),
  );
  const file = path.join(folder, 'state.json');
  const owned = state.owned?.length ? { owned: state.owned } : {};
  const text = `${JSON.stringify({ macs, ...owned })}\n`;
  if ((await readFile(file, 'utf8').catch(() => '')) === text) return;
  await writeFileAtomically(file, text, 0o600);
}

/** Unicast and locally administered, as flannel chooses them. */
export function randomMac(): Mac {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] as number) & 0xfe) | 0x02;
  return parseMac([...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':')) as Mac;
}
