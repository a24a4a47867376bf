/** What a node keeps between runs besides its lease: the VTEP MACs. flannel keeps them only in the kernel device. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { formatMac, type Mac, parseMac } from '../../shared/address.ts';
import { writeFileAtomically } from '../../shared/files.ts';

const shape = z.object({ macs: z.record(z.string(), z.string()) });

export interface NodeState {
  /** by device name */
  macs: Record<string, Mac>;
}

/** Reads the state; a missing or broken file is an empty state. */
export async function readState(folder: string): Promise<NodeState> {
  const text = await readFile(path.join(folder, 'state.json'), 'utf8').catch(() => '{}');
  const macs: Record<string, Mac> = {};
  try {
    const parsed = shape.safeParse(JSON.parse(text));
    for (const [device, textMac] of Object.entries(parsed.data?.macs ?? {})) {
      const mac = parseMac(textMac);
      if (mac) macs[device] = mac;
    }
  } catch {
    // not JSON: start afresh, peers learn the new MAC from the lease
  }
  return { macs };
}

/** Costs nothing when the file says this already: writing waits for the disk, and packets for us. */
export async function writeState(folder: string, state: NodeState): Promise<void> {
  const macs = Object.fromEntries(
    Object.entries(state.macs).map(([device, mac]) => [device, formatMac(mac)]),
  );
  const file = path.join(folder, 'state.json');
  const text = `${JSON.stringify({ macs })}\n`;
  if ((await readFile(file, 'utf8').catch(() => '')) === text) return;
  await writeFileAtomically(file, text, 0o600);
}

/** Unicast and locally administered, as flannel chooses them. */
export function randomMac(): Mac {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] as number) & 0xfe) | 0x02;
  return parseMac([...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':')) as Mac;
}
