/**
 * The merger: a pair of devices that packets pass which came in singly, because what brought them merges nothing in a tunnel. The kernel
 * merges those of a flow between its ends (GRO), so that the overlay's device and the pods see as few as with kernel VXLAN. Nobody else
 * uses the pair: what goes into the near end is the program `in`'s, and the program `merged` takes all of it at the far end.
 */
import { availableParallelism } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { linkOf } from '../../host/egress.ts';
import { exec } from '../../host/exec.ts';
import type { Link } from '../../host/ip-json.ts';
import type { Addon } from '../../memory/addon.ts';

/** The largest that this kind of device takes: larger than any packet of a device that it serves. */
const MTU = 65_535;
/** Queues of a veth: one for each processor that packets may come in by, and no more than this. */
const QUEUES_MAX = 64;
/** ETHTOOL_STSO and ETHTOOL_SGRO of linux/ethtool.h: a veth merges where it may and its other end may not send large ones. */
const SEND_LARGE = 0x1f;
const MERGE = 0x2c;

/** Both ends, near and far. Their names are at most 14 bytes long. */
export function mergerNames(vni: number): [near: string, far: string] {
  return [`weft.${vni}a`, `weft.${vni}b`];
}

export class Merger {
  private readonly addon: Addon;
  private readonly vni: number;
  private readonly names: readonly [near: string, far: string];
  private readonly indexes: readonly [near: number, far: number];
  private readonly link: number;
  /** packets that the near end had no room for, from when it was made until it was last looked at */
  dropped = 0;

  private constructor(addon: Addon, vni: number, indexes: readonly [number, number], link: number) {
    this.addon = addon;
    this.vni = vni;
    this.names = mergerNames(vni);
    this.indexes = indexes;
    this.link = link;
  }

  /** `attach` puts the program at the far end. What an earlier daemon left is made anew. Throws, with nothing left behind. */
  static async open(
    addon: Addon,
    vni: number,
    attach: (device: number) => number,
  ): Promise<Merger> {
    const names = mergerNames(vni);
    await removeMerger(vni);
    await addPair(names);
    let link: number | undefined;
    try {
      const [near, far] = [await linkOf(names[0]), await linkOf(names[1])];
      const indexes = [near.ifindex, far.ifindex] as const;
      switchOffload(addon, names[0], SEND_LARGE, false);
      switchOffload(addon, names[1], MERGE, true);
      link = attach(indexes[1]);
      for (const name of names) await exec('ip', ['link', 'set', 'dev', name, 'up']);
      return new Merger(addon, vni, indexes, link);
    } catch (error) {
      if (link !== undefined) addon.close(link);
      await removeMerger(vni);
      throw error;
    }
  }

  /** Number of the end that packets are sent into. */
  get near(): number {
    return this.indexes[0];
  }

  /** Whether both ends are what they were, and up. */
  async works(): Promise<boolean> {
    for (const [i, name] of this.names.entries()) {
      const found = await this.look(name, this.indexes[i] as number);
      if (!found?.flags.includes('LOWER_UP')) return false;
    }
    return true;
  }

  /** undefined where another device has this name, or none. */
  private async look(name: string, index: number): Promise<Link | undefined> {
    const found = await linkOf(name, exec, ['-s']).catch(() => undefined);
    if (found?.ifindex !== index) return undefined;
    if (index === this.near) this.dropped = found.stats64?.tx.dropped ?? this.dropped;
    return found;
  }

  /** What is in it is lost. Another's pair under these names stays. */
  async close(): Promise<void> {
    if (await this.look(this.names[0], this.near)) await removeMerger(this.vni);
    this.addon.close(this.link);
  }
}

/** Both ends, whoever left them. */
export async function removeMerger(vni: number): Promise<void> {
  await exec('ip', ['link', 'delete', 'dev', mergerNames(vni)[0]]).catch(() => undefined);
}

async function addPair([near, far]: readonly [string, string]): Promise<void> {
  const count = String(Math.min(availableParallelism(), QUEUES_MAX));
  const words = ['numtxqueues', count, 'numrxqueues', count, 'mtu', String(MTU)];
  try {
    const peer = ['type', 'veth', 'peer', 'name', far, ...words];
    await exec('ip', ['link', 'add', near, ...words, ...peer]);
  } catch (error) {
    throw new Error(
      'packets come in singly, and no pair of veth devices to merge them can be made',
      {
        cause: error,
      },
    );
  }
  for (const device of [near, far])
    await exec('ip', ['link', 'set', 'dev', device, 'addrgenmode', 'none']).catch(
      () => undefined, // no IPv6 in this kernel
    );
}

function switchOffload(addon: Addon, device: string, command: number, on: boolean): void {
  const result = addon.setOffload(device, command, on);
  if (result < 0) throw new Error(`${device}: offload not set (${getSystemErrorName(result)})`);
}
