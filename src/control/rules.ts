/** Keeps the firewall rules in place: installs them, looks again now and then, says when they are missing. */

import { kindOf } from '../cluster/kinds/all.ts';
import type { Lease } from '../cluster/lease/lease.ts';
import type { NetworkConfig } from '../cluster/network-config.ts';
import { isMissingCommand } from '../host/exec.ts';
import { HostFirewall } from '../host/firewall/firewall.ts';
import type { Firewall, FirewallFamily, Flavour, GuardedPort } from '../host/firewall/wishes.ts';
import type { News } from '../host/kernel-news.ts';
import type { Settings } from '../options/settings.ts';
import type { Prefix } from '../shared/address.ts';
import { type Clock, systemClock, type Timer } from '../shared/clock.ts';
import { messageOf } from '../shared/errors.ts';
import { type PlainLog, rarely } from '../shared/repeats.ts';
import type { Log } from './log/log.ts';
import { Pacer } from './pacer.ts';

/** After this they are looked at although the kernel announced nothing. Each look starts up to a dozen programs. */
const QUIET_MS_MAX = 30_000;

export class RuleKeeper {
  /** Why the rules are not in place, '' when they are. */
  problem = 'firewall rules are not installed yet';
  private readonly firewall: Firewall;
  private readonly log: Log;
  private readonly clock: Clock;
  private readonly masquerades: boolean;
  private readonly rare: PlainLog;
  private readonly pacer: Pacer;
  private timer: Timer | undefined;
  private stopped = false;
  private hearsAll = false;
  /** when the last look began */
  private lookedAtMs = Number.NEGATIVE_INFINITY;
  private last: Promise<void> = Promise.resolve();

  /** `masquerades`: without the rules nobody would do it, because plugins are told not to. */
  constructor(firewall: Firewall, masquerades: boolean, log: Log, clock: Clock = systemClock) {
    this.firewall = firewall;
    this.masquerades = masquerades;
    this.log = log;
    this.clock = clock;
    this.rare = rarely(log, clock);
    this.pacer = new Pacer(clock, () => this.look('healed'));
  }

  /** Which tool writes the rules; undefined until one was found. */
  get flavour(): Flavour | undefined {
    return this.firewall.flavour;
  }

  /**
   * Installs the rules; they are looked at again when nftables changed, or every `resyncMs` where nobody would hear of it. A host
   * that refuses them is an alarm, not an end.
   */
  async start(resyncMs: number): Promise<void> {
    await this.look('installed');
    if (this.stopped) return;
    this.timer = this.clock.every(resyncMs, () => {
      if (this.isDue()) void this.look('healed');
    });
  }

  private isDue(): boolean {
    const isFine = this.hearsAll && this.firewall.isAnnounced && this.problem === '';
    return !isFine || this.clock.monotonicMs() - this.lookedAtMs >= QUIET_MS_MAX;
  }

  /** From now on the kernel's news reach {@link hear}. Whatever changed before is found by a look. */
  listen(): void {
    this.hearsAll = true;
    this.pacer.hear();
  }

  /** What the kernel announces. Changes by iptables-legacy it does not: they wait for the next look. */
  hear(news: readonly News[]): void {
    if (news.some(({ about }) => about === 'firewall' || about === 'lost')) this.pacer.hear();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.stop();
    this.pacer.stop();
  }

  /** One after the other: two at a time would each add what is missing. */
  private look(verb: string): Promise<void> {
    this.last = this.last.then(() => this.ensure(verb));
    return this.last;
  }

  private async ensure(verb: string): Promise<void> {
    this.lookedAtMs = this.clock.monotonicMs();
    try {
      const changed = await this.firewall.ensure();
      this.problem = '';
      if (changed !== '') this.log.info(`firewall rules ${verb}: ${changed}`);
    } catch (error) {
      const message = messageOf(error);
      // A host without the tool has no policy of that tool that forward rules would have to overcome.
      const isNeeded = this.masquerades || !isMissingCommand(error);
      this.problem = isNeeded ? message : '';
      this.rare.error(`firewall rules: ${message}`);
    }
  }
}

/** The rules of this node's lease. `previous`: what the run before had rules about. */
export async function startRules(
  config: NetworkConfig,
  lease: Lease,
  previous: readonly Prefix[],
  settings: Settings,
  log: Log,
): Promise<RuleKeeper> {
  const { masquerade, fullyRandom, forwardRules: forward, resyncMs } = settings;
  const families = firewallFamilies(config, lease);
  const guarded = settings.dropPodEncapsulation ? guardedPorts(config, settings) : [];
  const wishes = { families, masquerade, fullyRandom, forward, guarded, previous };
  const wanted = config.nftables ? 'nftables' : 'iptables';
  const firewall = new HostFirewall(wanted, wishes, (line) => log.info(line));
  const keeper = new RuleKeeper(firewall, masquerade, log);
  await keeper.start(resyncMs);
  return keeper;
}

function firewallFamilies(config: NetworkConfig, lease: Lease): FirewallFamily[] {
  const { backend } = config;
  const { devices } = kindOf(backend);
  return ([4, 6] as const).flatMap((family) => {
    const range = family === 4 ? config.ipv4 : config.ipv6;
    const subnet = family === 4 ? lease.subnet4 : lease.subnet6;
    const device = devices && { device: devices.name(backend, family) };
    return range && subnet ? [{ family, network: range.network, subnet, ...device }] : [];
  });
}

/** The ports at which nodes with a tunnel listen to each other. */
export function guardedPorts(
  { backend }: NetworkConfig,
  { reachPort }: Pick<Settings, 'reachPort'>,
): GuardedPort[] {
  const tunnel = kindOf(backend).tunnel?.(backend);
  if (!tunnel) return [];
  return [
    { protocol: 'udp', port: tunnel.encap.port, underlay: true },
    ...(reachPort === 0 ? [] : [{ protocol: 'tcp' as const, port: reachPort, underlay: false }]),
  ];
}
