/**
 * The merger: a pair of devices that packets pass which came in singly, because what brought them merges nothing in a tunnel. The kernel
 * merges those of a flow between its ends (GRO), so that the overlay's device and the pods see as few as with kernel VXLAN. Nobody else
 * uses the pair: what goes into the near end is the program `in`'s, and the program `merged` takes all of it at the far end.
 */
import { readFileSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { deviceIdentity } from '../../host/egress.ts';
import { exec } from '../../host/exec.ts';
import type { Addon } from '../../memory/addon.ts';

/** The largest that this kind of device takes: larger than any packet of a device that it serves. */
const MTU = 65_535;
/** ETHTOOL_STSO and ETHTOOL_SGRO of linux/ethtool.h: a veth merges where it may and its other end may not send large ones. */
const SEND_LARGE = 0x1f;
const MERGE = 0x2c;

export class Merger {
  private readonly addon: Addon;
  private readonly nearName: string;
  /** number of the end that packets are sent into */
  readonly near: number;
  private readonly link: number;
  private lastDropped = 0;

  private constructor(addon: Addon, nearName: string, near: number, link: number) {
    this.addon = addon;
    this.nearName = nearName;
    this.near = near;
    this.link = link;
  }

  /** `attach` puts the program at the far end. What an earlier daemon left is made anew. Throws, with nothing left behind. */
  static async open(
    addon: Addon,
    vni: number,
    attach: (device: number) => number,
  ): Promise<Merger> {
    const [near, far] = [`weft-a.${vni}`, `weft-b.${vni}`];
    await remove(near);
    const mtu = ['mtu', String(MTU)];
    await exec('ip', ['link', 'add', near, ...mtu, 'type', 'veth', 'peer', 'name', far, ...mtu]);
    try {
      for (const device of [near, far]) {
        await exec('ip', ['link', 'set', 'dev', device, 'addrgenmode', 'none']).catch(
          () => undefined, // no IPv6 in this kernel
        );
      }
      switchOffload(addon, near, SEND_LARGE, false);
      switchOffload(addon, far, MERGE, true);
      const { index } = await deviceIdentity(near);
      const link = attach((await deviceIdentity(far)).index);
      for (const device of [near, far]) await exec('ip', ['link', 'set', 'dev', device, 'up']);
      return new Merger(addon, near, index, link);
    } catch (error) {
      await remove(near);
      throw error;
    }
  }

  /** Whether it still is what it was. */
  async isThere(): Promise<boolean> {
    const found = await deviceIdentity(this.nearName).catch(() => undefined);
    return found?.index === this.near;
  }

  /** Packets that the near end had no room for, since it was made. */
  dropped(): number {
    try {
      const text = readFileSync(`/sys/class/net/${this.nearName}/statistics/tx_dropped`, 'utf8');
      this.lastDropped = Number(text);
    } catch {
      // Somebody took it away: what was seen last is what is known.
    }
    return this.lastDropped;
  }

  async close(): Promise<void> {
    await remove(this.nearName);
    this.addon.close(this.link);
  }
}

function switchOffload(addon: Addon, device: string, command: number, on: boolean): void {
  const result = addon.setOffload(device, command, on);
  if (result < 0) throw new Error(`${device}: offload not set (${getSystemErrorName(result)})`);
}

/** Both ends, if they are there. */
async function remove(near: string): Promise<void> {
  await exec('ip', ['link', 'delete', 'dev', near]).catch(() => undefined);
}
