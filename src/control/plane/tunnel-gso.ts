/**
 * Tunnel GSO, a shortcut: super-packets leave encapsulated and unsegmented through a helper TAP, where the way out allows it. Stages:
 * open the TAP; find the device behind each peer; take a device when it has tunnel offload and a probe really left through it; look
 * again now and then, because routes, devices and firewall rules change. Peers of other devices are sent segmented datagrams as always.
 */
import { writeFile } from 'node:fs/promises';
import { type Peer, peerId } from '../../cluster/peers.ts';
import { setIpv4 } from '../../host/device-settings.ts';
import { deviceIdentity, egressOf, hasTunnelOffload } from '../../host/egress.ts';
import { exec } from '../../host/exec.ts';
import { probeTunnel } from '../../host/tunnel-probe.ts';
import type { Addon } from '../../memory/addon.ts';
import { FEATURE } from '../../memory/layout.ts';
import type { LinkTask } from '../../memory/worker-task.ts';
import { familyOf, formatAddress, type Mac, parseMac, type Words } from '../../shared/address.ts';
import { messageOf } from '../../shared/errors.ts';
import { getOrMake } from '../../shared/memo.ts';
import { type PlainLog, rarely } from '../../shared/repeats.ts';
import type { Log } from '../log/log.ts';
import type { Shortcut, ShortcutSummary } from './shortcut.ts';

/** How long a device is believed to let super-packets pass, and not to: what forbids it at start is often set up soon after. */
const USABLE_MS = 30_000;
const UNUSABLE_MS = 5_000;
/** At most this share of the time goes into looking for routes, however many peers there are. */
const LOOK_SHARE = 0.005;

/** A device and family: may it be used, and since when is that known. */
interface Verdict {
  usable: boolean;
  why: string;
  atMs: number;
}

export class TunnelGso implements Shortcut {
  readonly name = 'tunnelGso';
  readonly features = FEATURE.tunnelGso;
  private readonly device: string;
  private readonly fds: readonly number[];
  private readonly mac: Mac;
  private readonly addon: Addon;
  private readonly vni: number;
  private readonly rare: PlainLog;
  private readonly verdicts = new Map<string, Verdict>();
  /** the last look's result, by address; what is missing has not been looked at */
  private devices = new Map<string, string | undefined>();
  /** who came and whose way was not looked at, by id */
  private readonly unknown = new Map<string, Peer>();
  /** before these, another look at all and at those that came is not worth its cost */
  private lookAgainMs = 0;
  private lookAtNewMs = 0;
  private links: readonly LinkTask[] = [];

  private constructor(
    addon: Addon,
    log: Log,
    vni: number,
    device: string,
    fds: number[],
    mac: Mac,
  ) {
    this.addon = addon;
    this.rare = rarely(log);
    this.vni = vni;
    this.device = device;
    this.fds = fds;
    this.mac = mac;
  }

  /** One queue per worker. Undefined, with a line in the log, where the kernel or the host does not allow it. */
  static async open(
    addon: Addon,
    log: Log,
    vni: number,
    workers: number,
  ): Promise<TunnelGso | undefined> {
    const device = `weft.${vni}`;
    const fds: number[] = [];
    try {
      for (let i = 0; i < workers; i++) fds.push(addon.openTap(device));
      await setUp(addon, device);
      const { mac } = await deviceIdentity(device);
      const parsed = parseMac(mac);
      if (!parsed) throw new Error(`${device} has no MAC`);
      return new TunnelGso(addon, log, vni, device, fds, parsed);
    } catch (error) {
      for (const fd of fds) addon.close(fd);
      log.info(`no tunnel GSO (Linux 6.17 or later has it): ${messageOf(error)}`);
      return undefined;
    }
  }

  begin(links: readonly LinkTask[]): void {
    this.links = links;
  }

  equip(link: LinkTask, worker: number): LinkTask {
    const features = link.features | this.features;
    return { ...link, features, tapFd: this.fds[worker] ?? -1, tapMac: this.mac };
  }

  isDue(nowMs: number): boolean {
    if (this.unknown.size > 0 && nowMs >= this.lookAtNewMs) return true;
    return nowMs >= this.lookAgainMs && this.isAnyOld(nowMs);
  }

  private isAnyOld(nowMs: number): boolean {
    return [...this.verdicts.values()].some((verdict) => isOld(verdict, nowMs));
  }

  /** The mark is Peer.tunnelGso. */
  recall(peer: Peer): Peer {
    const address = textOf(peer.address);
    if (!this.devices.has(address)) this.unknown.set(peerId(peer), peer);
    const key = verdictKey(this.devices.get(address), peer.family);
    const tunnelGso = this.verdicts.get(key)?.usable ?? false;
    return tunnelGso === (peer.tunnelGso ?? false) ? peer : { ...peer, tunnelGso };
  }

  async look(peers: readonly Peer[]): Promise<readonly Peer[]> {
    const startedMs = performance.now();
    // Those that came since are looked at alone, unless it is time for all.
    const isWhole = startedMs >= this.lookAgainMs && this.isAnyOld(startedMs);
    const wanted = isWhole ? peers : [...this.unknown.values()];
    this.unknown.clear();
    const addresses = uniqueAddresses(wanted);
    const found = await egressOf(addresses.map((to) => ({ to, from: this.sourceTo(to) })));
    const now = performance.now();
    const againMs = now + (now - startedMs) / LOOK_SHARE;
    this.lookAtNewMs = againMs;
    if (isWhole) this.lookAgainMs = againMs;
    if (isWhole) this.devices = new Map();
    for (const address of addresses.map(textOf))
      this.devices.set(address, found.get(address)?.device);
    let isNews = false;
    for (const peer of wanted) {
      const device = this.devices.get(textOf(peer.address));
      if (device !== undefined) isNews = (await this.judge(device, peer, now)) || isNews;
    }
    return isNews ? peers : wanted;
  }

  /** What the helper's packets carry as their source. */
  private sourceTo(address: Words): Words | undefined {
    return this.links.find(({ family }) => family === familyOf(address))?.underlayAddress;
  }

  /** Workers hand over what goes this way, and count it. */
  totals(): undefined {
    return undefined;
  }

  summary(): ShortcutSummary {
    const egress = [...this.verdicts].map(([device, { usable, why }]) => ({ device, usable, why }));
    return { name: this.name, device: this.device, egress };
  }

  async close(): Promise<void> {
    for (const fd of this.fds) this.addon.close(fd);
  }

  /**
   * Looks at a device when what is known of it is old; this peer's address is what the probe is sent to. Answers whether it may be used
   * now and might not before, or the other way round.
   */
  private async judge(device: string, peer: Peer, nowMs: number): Promise<boolean> {
    const key = verdictKey(device, peer.family);
    const known = this.verdicts.get(key);
    if (known && !isOld(known, nowMs)) return false;
    const why = await this.reasonAgainst(device, peer).catch(messageOf);
    const usable = why === '';
    this.verdicts.set(key, { usable, why, atMs: nowMs });
    const isNews = usable !== (known?.usable ?? false);
    if (known && !isNews && why === known.why) return false;
    const text = usable
      ? `tunnel GSO through ${device} (IPv${peer.family})`
      : `no tunnel GSO through ${device} (IPv${peer.family}): ${why}`;
    this.rare.info(text);
    return isNews;
  }

  /** Empty when the device may be used. */
  private async reasonAgainst(device: string, peer: Peer): Promise<string> {
    const link = this.links.find(({ family }) => family === peer.family);
    if (!link) return `no IPv${peer.family} link`;
    if (!hasTunnelOffload(this.addon, device)) return 'the device has no tunnel offload';
    const { index } = await deviceIdentity(device);
    const left = await probeTunnel(this.addon, {
      family: peer.family,
      tapFd: this.fds[0] as number,
      tapMac: this.mac,
      interfaceIndex: index,
      from: link.underlayAddress,
      to: peer.address,
      port: peer.port,
      vni: this.vni,
      ownMac: link.ownMac,
      peerMac: peer.mac,
      innerFrom: link.deviceAddress,
      innerTo: peer.subnet.words,
    });
    return left ? '' : 'a probe did not leave (forwarding off, rp_filter, or a FORWARD rule)';
  }
}

function isOld(verdict: Verdict, nowMs: number): boolean {
  return nowMs - verdict.atMs >= (verdict.usable ? USABLE_MS : UNUSABLE_MS);
}

function verdictKey(device: string | undefined, family: 4 | 6): string {
  return `${device ?? ''} ${family}`;
}

/** Text of each peer's address, made once: peers that did not change keep theirs. */
const texts = new WeakMap<Words, string>();

function textOf(address: Words): string {
  return getOrMake(texts, address, () => formatAddress(address));
}

function uniqueAddresses(peers: readonly Peer[]): Words[] {
  const seen = new Map<string, Words>();
  for (const { address } of peers) seen.set(textOf(address), address);
  return [...seen.values()];
}

/** Up, without addresses of its own; packets with this node's own source address may come in and be forwarded. */
async function setUp(addon: Addon, device: string): Promise<void> {
  await exec('ip', ['link', 'set', 'dev', device, 'addrgenmode', 'none']).catch(() => undefined); // no IPv6 in this kernel
  setIpv4(addon, device, 'accept_local', 1);
  setIpv4(addon, device, 'rp_filter', 0);
  setIpv4(addon, device, 'forwarding', 1);
  // No IPv6 in this kernel, or a container: there the device has the host's setting.
  await writeFile(`/proc/sys/net/ipv6/conf/${device}/forwarding`, '1').catch(() => undefined);
  await exec('ip', ['link', 'set', 'dev', device, 'up']);
}
