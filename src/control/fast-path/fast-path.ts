/**
 * The fast path, a shortcut: two programs in the kernel carry inner TCP over IPv4 past the workers (native/fast-path). Here is decided
 * whether and for whom. Stages of a look: may this host have it; which device is behind each peer; may that be used, and does a probe
 * really leave through it; then the programs are told. Whoever is left out is reached by the workers as ever.
 */
import os from 'node:os';
import type { Peer } from '../../cluster/peers.ts';
import { peerId } from '../../cluster/peers.ts';
import {
  deviceIdentity,
  type Egress,
  egressOf,
  framesOf,
  hasCard,
  hasTunnelOffload,
} from '../../host/egress.ts';
import { probeFastPath, randomProbePort } from '../../host/fast-path-probe.ts';
import { hasLegacyRules } from '../../host/firewall/port-rules.ts';
import { ipsecPolicies } from '../../host/ipsec.ts';
import type { News } from '../../host/kernel-news.ts';
import type { Addon } from '../../memory/addon.ts';
import { sumBlocks, type Totals } from '../../memory/counters.ts';
import type { LinkTask, SourceCheck } from '../../memory/worker-task.ts';
import type { FastPathMode } from '../../options/options.ts';
import { formatAddress, type Words } from '../../shared/address.ts';
import { messageOf } from '../../shared/errors.ts';
import { type PlainLog, rarely } from '../../shared/repeats.ts';
import { VXLAN_ENCAP_BYTES } from '../../wire/vxlan.ts';
import type { Log } from '../log/log.ts';
import { wallClock } from '../observe/monotonic.ts';
import type { PeerTotals } from '../observe/peer-ledger.ts';
import type { Shortcut, ShortcutSummary } from '../plane/shortcut.ts';
import type { TableSink } from '../plane/table-sink.ts';
import { PortRule, reasonAgainstDevice, reasonAgainstHost } from './conditions.ts';
import { type FastCounts, FastMaps } from './maps.ts';
import { Merger } from './merger.ts';
import { FastTable, NO_WAY, type Way } from './table.ts';

/** What VXLAN over IPv4 puts in front of an inner packet, without the outer Ethernet header. */
const OVERHEAD_BYTES = 50;
/** How long a look is believed when nothing is announced, and where changes are not, as of legacy iptables. Each starts five programs. */
const BELIEVED_MS = 30_000;
const BELIEVED_UNHEARD_MS = 5_000;
/** At most this share of the time goes into looks, however much is announced; half of a look is waiting for its probe. */
const LOOK_SHARE = 0.2;
/** And this when only peers came: they have the workers until then, and in a large cluster somebody always comes. */
const NEWCOMERS_SHARE = 0.02;
/** So many peers behind a device are probed before it is given up: one may be away. */
const PROBES_MAX = 3;

/** The first device of every network namespace. */
const LOOPBACK = 1;

/** What is known of a device. */
interface Verdict {
  index: number;
  why: string;
  isMerged: boolean;
}

export interface FastPathOptions {
  mode: FastPathMode;
  vni: number;
  /** UDP port at which nodes listen */
  port: number;
  sourceCheck: SourceCheck;
}

interface Kernel {
  maps: FastMaps;
  table: FastTable;
}

export class FastPath implements Shortcut {
  readonly name = 'fastPath';
  readonly features = 0;
  private readonly addon: Addon;
  private readonly rare: PlainLog;
  private readonly options: FastPathOptions;
  /** undefined where the kernel does not have what it takes */
  private kernel: Kernel | undefined;
  /** why nothing takes it, '' if something may */
  private why = 'not looked yet';
  private readonly verdicts = new Map<string, Verdict>();
  private link: LinkTask | undefined;
  /** number of the overlay's device, with the link that holds the program there */
  private device: { index: number; link: number } | undefined;
  /** links at the devices towards peers, by their numbers */
  private readonly ingress = new Map<number, number>();
  /** while some device needs it; goes when no program sends into it any more */
  private merger: Merger | undefined;
  /** packets that earlier ones dropped */
  private droppedBefore = 0;
  /** why there is none, and until when that is believed */
  private mergerRefusal = { untilMs: 0, why: '' };
  private isWatched = false;
  /** since somebody looked, until the look after that */
  private isPaused = false;
  private isLooking = false;
  private lookAtMs = 0;
  /** whatever could end what a look found is announced, IPsec aside */
  private hearsAll = false;
  /** IPsec policies at the last look; undefined where the kernel has no IPsec */
  private policies: number | undefined;
  private readonly rule = new PortRule();
  /** after what was announced, not before */
  private rested = { atMs: 0, isAwaited: false };
  /** underlay addresses of the peers that the last look was about, as text, and whether others came since */
  private lookedAt: ReadonlySet<string> = new Set();
  private newcomers = { atMs: 0, areAwaited: false };
  /** of a look: spent on probes, which cost next to nothing */
  private waitedMs = 0;
  /** what the kernel had counted when it was closed */
  private last: { all: FastCounts; bySlot: Map<number, FastCounts> } | undefined;

  constructor(addon: Addon, log: Log, options: FastPathOptions) {
    this.addon = addon;
    this.rare = rarely(log);
    this.options = options;
    try {
      const maps = new FastMaps(addon);
      // Before Linux 6.6 programs are loaded and can't be attached: said at once, and nobody looks for another reason.
      addon.close(maps.attach('in', LOOPBACK));
      this.kernel = { maps, table: new FastTable(maps) };
    } catch (error) {
      this.giveUp(reasonOfKernel(error));
    }
  }

  get table(): TableSink {
    return {
      settled: async () => undefined,
      publish: async (changes) => {
        try {
          return (await this.kernel?.table.publish(changes)) ?? 0;
        } catch (error) {
          // Without a table that is right nobody may go past the workers.
          this.giveUp(messageOf(error));
          return 0;
        }
      },
    };
  }

  /** For good. */
  private giveUp(why: string): void {
    this.end();
    void this.closeMerger();
    this.say(why);
  }

  private say(why: string): void {
    if (why === this.why) return;
    this.why = why;
    const text = why === '' ? 'fast path: on' : `no fast path: ${why}`;
    if (why !== '' && this.options.mode === 'on') this.rare.warn(text);
    else this.rare.info(text);
  }

  begin(links: readonly LinkTask[]): void {
    this.link = links.find(({ family }) => family === 4);
  }

  equip(link: LinkTask): LinkTask {
    return link;
  }

  isDue(nowMs: number): boolean {
    if (!this.kernel || this.isLooking || this.isWatched) return false;
    const { rested, newcomers } = this;
    if (nowMs >= this.lookAtMs || (rested.isAwaited && nowMs >= rested.atMs)) return true;
    if (newcomers.areAwaited && nowMs >= newcomers.atMs && this.device) return true;
    // Nobody announces a policy; to ask for them is two system calls.
    return this.policies !== undefined && this.addon.ipsecPolicies() !== this.policies;
  }

  /** Its marks are in its own table. */
  recall(peer: Peer): Peer {
    if (peer.family === 4 && !this.lookedAt.has(formatAddress(peer.address)))
      this.newcomers.areAwaited = true;
    return peer;
  }

  /** Anything that is announced may end what a look found. */
  hear(news: readonly News[]): void {
    this.rule.hear(news);
    if (news.length > 0) this.rested.isAwaited = true;
  }

  listen(): void {
    this.hearsAll = true;
  }

  guard(addresses: readonly Words[]): void {
    this.kernel?.table.guard(addresses);
  }

  /** Somebody looks at packets: all of them go through the workers, who show them. Afterwards a look comes first. */
  watch(isWatched: boolean): void {
    this.isWatched = isWatched;
    if (isWatched) this.isPaused = true;
    else this.lookAtMs = 0;
    this.configure();
  }

  async look(peers: readonly Peer[]): Promise<readonly Peer[]> {
    if (!this.kernel || this.isLooking || this.isWatched) return [];
    this.isLooking = true;
    this.rested.isAwaited = false;
    this.newcomers.areAwaited = false;
    this.waitedMs = 0;
    const own = peers.filter(({ family }) => family === 4);
    this.lookedAt = new Set(own.map(({ address }) => formatAddress(address)));
    const startedMs = performance.now();
    let believedMs = BELIEVED_UNHEARD_MS;
    try {
      const wantedMs = await this.believedMs();
      await this.examine(this.kernel, own, wantedMs);
      believedMs = wantedMs;
    } catch (error) {
      this.stopCarrying(messageOf(error));
    } finally {
      const now = performance.now();
      const tookMs = now - startedMs;
      const restMs = tookMs / LOOK_SHARE;
      this.lookAtMs = now + Math.max(believedMs, restMs);
      this.rested.atMs = now + restMs;
      this.newcomers.atMs = now + (tookMs - this.waitedMs) / NEWCOMERS_SHARE;
      this.isLooking = false;
    }
    return [];
  }

  private async believedMs(): Promise<number> {
    return this.hearsAll && !(await hasLegacyRules()) ? BELIEVED_MS : BELIEVED_UNHEARD_MS;
  }

  /** Until another look finds that it may: neither program sees a packet, and each device has to be tried again. */
  private stopCarrying(why: string): void {
    this.kernel?.table.take(() => NO_WAY);
    this.detach();
    this.verdicts.clear();
    this.isPaused = this.isWatched;
    this.say(why);
  }

  private async examine(
    { table }: Kernel,
    peers: readonly Peer[],
    believedMs: number,
  ): Promise<void> {
    const { link, options } = this;
    this.policies = ipsecPolicies(this.addon);
    if (!link) return this.stopCarrying('no IPv4 in this overlay');
    const rule = await this.rule.read(options.port, believedMs);
    const against = reasonAgainstHost(options, { policies: this.policies, rule });
    if (against !== '') return this.stopCarrying(against);
    await this.attachOut(link);
    if (!this.kernel) return;
    const from = link.underlayAddress;
    const ways = await egressOf(peers.map(({ address: to }) => ({ to, from })));
    await this.judgeAll(link, peers, ways);
    const neededMtu = link.tunnelMtu + OVERHEAD_BYTES;
    table.take(({ address, port }) => {
      const way = ways.get(formatAddress(address));
      const verdict = way && this.verdicts.get(way.device);
      if (port !== options.port || !verdict || verdict.why !== '') return NO_WAY;
      if ((way.mtu ?? neededMtu) < neededMtu) return NO_WAY;
      return { egress: verdict.index, isMerged: verdict.isMerged };
    });
    if (![...this.verdicts.values()].some(({ isMerged }) => isMerged)) await this.closeMerger();
    this.isPaused = this.isWatched;
    this.configure();
    this.say(this.reasonAgainstAll());
  }

  private reasonAgainstAll(): string {
    const verdicts = [...this.verdicts];
    const [first] = verdicts;
    if (!first) return 'no peer is reached through a device';
    if (verdicts.some(([, { why }]) => why === '')) return '';
    return `${first[0]}: ${first[1].why}`;
  }

  /** The program at the overlay's device; a device of the same name may be another one. */
  private async attachOut(link: LinkTask): Promise<void> {
    const name = this.addon.tunDevice(link.tunFd);
    const { index } = await deviceIdentity(name);
    if (this.device?.index === index || !this.kernel) return;
    if (this.device) this.addon.close(this.device.link);
    this.device = undefined;
    try {
      this.device = { index, link: this.kernel.maps.attach('out', index) };
    } catch (error) {
      return this.giveUp(reasonOfKernel(error));
    }
    this.configure();
  }

  private async judgeAll(
    link: LinkTask,
    peers: readonly Peer[],
    ways: ReadonlyMap<string, Egress>,
  ): Promise<void> {
    const behind = new Map<string, Peer[]>();
    for (const peer of peers) {
      const device = ways.get(formatAddress(peer.address))?.device;
      if (device !== undefined) behind.set(device, [...(behind.get(device) ?? []), peer]);
    }
    for (const device of this.verdicts.keys())
      if (!behind.has(device)) this.verdicts.delete(device);
    for (const [device, its] of behind) await this.judge(link, device, its);
    const used = new Set(
      [...this.verdicts.values()].filter(({ why }) => why === '').map(({ index }) => index),
    );
    for (const [index, fd] of this.ingress) {
      if (used.has(index)) continue;
      this.addon.close(fd);
      this.ingress.delete(index);
    }
  }

  private async judge(link: LinkTask, device: string, peers: readonly Peer[]): Promise<void> {
    let index = 0;
    let isMerged = false;
    let why: string;
    // A device that has just gone, or refuses, takes the fast path from no other.
    try {
      const frames = await framesOf(device);
      index = frames.index;
      why = reasonAgainstDevice(frames, link.tunnelMtu + OVERHEAD_BYTES);
      if (why === '') {
        isMerged = !hasTunnelOffload(this.addon, device) || (await hasCard(device));
        if (isMerged) await this.openMerger();
        this.attachIn(index);
        why = await this.probeAny(link, { egress: index, isMerged }, peers);
      }
    } catch (error) {
      why = messageOf(error);
    }
    const before = this.verdicts.get(device)?.why;
    this.verdicts.set(device, { index, why, isMerged });
    if (why === before) return;
    this.rare.info(
      why === ''
        ? `fast path through ${device}${isMerged ? ', what comes in is merged' : ''}`
        : `no fast path through ${device}: ${why}`,
    );
  }

  /** Before packets are sent into it. Throws where none can be made, and asks no more for a while. */
  private async openMerger(): Promise<void> {
    const { kernel, merger, addon, options } = this;
    if (!kernel || (await merger?.works())) return;
    if (performance.now() < this.mergerRefusal.untilMs) throw new Error(this.mergerRefusal.why);
    await this.closeMerger();
    try {
      const made = await Merger.open(addon, options.vni, (far) => {
        if (this.kernel !== kernel) throw new Error('closed');
        return kernel.maps.attach('merged', far);
      });
      if (this.kernel !== kernel) return await made.close();
      this.merger = made;
    } catch (error) {
      this.mergerRefusal = { untilMs: performance.now() + BELIEVED_MS, why: messageOf(error) };
      throw error;
    }
    this.configure();
  }

  /** Nothing is sent into it from here on. */
  private async closeMerger(): Promise<void> {
    const { merger } = this;
    if (!merger) return;
    this.merger = undefined;
    this.configure();
    await merger.close();
    this.droppedBefore += merger.dropped;
  }

  private attachIn(index: number): void {
    if (this.ingress.has(index) || !this.kernel) return;
    this.ingress.set(index, this.kernel.maps.attach('in', index));
  }

  /** '' once a probe left. */
  private async probeAny(link: LinkTask, way: Way, peers: readonly Peer[]): Promise<string> {
    const begin = Math.floor(Math.random() * peers.length);
    for (let i = 0; i < Math.min(PROBES_MAX, peers.length); i++) {
      const peer = peers[(begin + i) % peers.length] as Peer;
      if (await this.probe(link, way, peer)) return '';
    }
    return 'a probe did not leave';
  }

  private async probe(link: LinkTask, way: Way, peer: Peer): Promise<boolean> {
    const { kernel } = this;
    const slot = kernel?.table.probe(peerId(peer), way);
    if (!kernel || slot === undefined) return false;
    const sourcePort = randomProbePort();
    this.configure(sourcePort);
    const sent = (): number => kernel.maps.counts(slot).sentPackets;
    const before = sent();
    const [from, to] = [link.deviceAddress, peer.subnet.words];
    const startedMs = performance.now();
    const { left } = await probeFastPath(this.addon, { device: way.egress, sourcePort, from, to });
    this.waitedMs += performance.now() - startedMs;
    this.configure();
    return left && sent() > before;
  }

  private configure(probe = 0): void {
    const { kernel, link, device, options } = this;
    if (!kernel || !link || !device) return;
    kernel.maps.configure({
      isOn: !this.isWatched && (!this.isPaused || probe !== 0),
      local: link.underlayAddress[3],
      ownSubnet: link.ownSubnet,
      vni: options.vni,
      mtu: link.tunnelMtu,
      device: device.index,
      port: options.port,
      mac: link.ownMac,
      merger: this.merger?.near ?? 0,
      probe,
    });
  }

  totals(): Totals {
    const dropped = this.droppedBefore + (this.merger?.dropped ?? 0);
    return totalsOf(this.last?.all ?? this.kernel?.maps.counts(), dropped);
  }

  perPeer(slot: number): PeerTotals {
    return peerTotalsOf(this.last?.bySlot.get(slot) ?? this.kernel?.maps.counts(slot));
  }

  summary(): ShortcutSummary {
    const egress = [...this.verdicts].map(([device, { why }]) => ({
      device,
      usable: why === '',
      why,
    }));
    return {
      name: this.name,
      device: '',
      egress,
      peers: this.isPaused ? 0 : (this.kernel?.table.carriedPeers() ?? 0),
      why: this.isPaused ? 'somebody looks at packets' : this.why,
    };
  }

  /** Nothing is carried from here on; what was can still be asked for. */
  async close(): Promise<void> {
    this.detach();
    await this.closeMerger();
    this.end();
  }

  private detach(): void {
    if (this.device) this.addon.close(this.device.link);
    for (const fd of this.ingress.values()) this.addon.close(fd);
    this.ingress.clear();
    this.device = undefined;
  }

  private end(): void {
    const { kernel } = this;
    this.detach();
    this.kernel = undefined;
    if (!kernel) return;
    const bySlot = new Map(kernel.table.slots().map((slot) => [slot, kernel.maps.counts(slot)]));
    this.last = { all: kernel.maps.counts(), bySlot };
    kernel.maps.close();
  }
}

/** `release` as of uname. */
export function reasonOfKernel(error: unknown, release = os.release()): string {
  const { code } = error as { code?: string };
  const isUnable =
    code === 'EINVAL' || code === 'ENOSYS' || (code === 'EPERM' && locksMaps(release));
  if (isUnable) return 'this kernel can not (Linux 6.6 or later can)';
  if (code === 'EPERM')
    return 'no permission (it needs CAP_BPF and CAP_NET_ADMIN, and the bpf system call)';
  return messageOf(error);
}

/** Before Linux 5.11 maps count as locked memory: past RLIMIT_MEMLOCK the kernel says EPERM, whatever is permitted. */
function locksMaps(release: string): boolean {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  return major < 5 || (major === 5 && minor < 11);
}

/** `dropped`: packets that came in and did not pass the merger. */
function totalsOf(counts: FastCounts | undefined, dropped: number): Totals {
  const totals = sumBlocks([]);
  if (!counts) return totals;
  const { sentPackets, sentBytes, receivedPackets, receivedBytes, lost } = counts;
  Object.assign(totals.counters, {
    outPackets: sentPackets + lost,
    outBytes: sentBytes,
    sentPackets,
    sentBytes,
    inPackets: receivedPackets + dropped,
    inBytes: receivedBytes + receivedPackets * VXLAN_ENCAP_BYTES,
    deliveredPackets: receivedPackets,
    deliveredBytes: receivedBytes,
  });
  totals.drops.outbound['outUnderlayFull'] = lost;
  totals.drops.inbound['inMergerFull'] = dropped;
  return totals;
}

function peerTotalsOf(counts: FastCounts | undefined): PeerTotals {
  const {
    sentPackets = 0,
    sentBytes = 0,
    receivedPackets = 0,
    receivedBytes = 0,
    heardNs = 0,
  } = counts ?? {};
  const word = Number(BigInt.asIntN(32, BigInt(Math.floor(heardNs / 1e6))));
  const lastHeardAt = heardNs === 0 ? undefined : new Date(Math.min(Date.now(), wallClock()(word)));
  return { sentPackets, sentBytes, receivedPackets, receivedBytes, lastHeardAt };
}
