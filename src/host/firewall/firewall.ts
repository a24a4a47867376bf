/** Masquerade, forward and guard rules, in the two flavours that flannel has (flannel pkg/trafficmngr). */
import { messageOf } from '../../shared/errors.ts';
import { type Exec, exec, isMissingCommand, missingCommand } from '../exec.ts';
import { IptablesFirewall, removeIptables } from './iptables.ts';
import { NftablesFirewall, removeNftables } from './nftables.ts';
import type { Firewall, FirewallWishes, Flavour } from './wishes.ts';

export function createFirewall(
  flavour: Flavour,
  wishes: FirewallWishes,
  run: Exec = exec,
): Firewall {
  return flavour === 'iptables'
    ? new IptablesFirewall(wishes, run)
    : new NftablesFirewall(wishes, run);
}

/** Removes the rules of one flavour, whichever daemon wrote them. A missing tool is no error. Returns what was removed. */
export async function removeRules(flavour: Flavour, run: Exec = exec): Promise<string[]> {
  return flavour === 'iptables' ? removeIptables(run) : removeNftables(run);
}

/**
 * The flavour that is wanted, or the other one where the host has only that tool: what it is to achieve is the same. The first look
 * that finds a tool decides, for as long as the tool is there, and removes what an earlier run wrote with the other one.
 */
export class HostFirewall implements Firewall {
  private readonly wanted: Flavour;
  private readonly wishes: FirewallWishes;
  private readonly onEvent: (line: string) => void;
  private readonly run: Exec;
  private chosen: Firewall | undefined;

  constructor(
    wanted: Flavour,
    wishes: FirewallWishes,
    onEvent: (line: string) => void,
    run: Exec = exec,
  ) {
    this.wanted = wanted;
    this.wishes = wishes;
    this.onEvent = onEvent;
    this.run = run;
  }

  get flavour(): Flavour | undefined {
    return this.chosen?.flavour;
  }

  get isAnnounced(): boolean {
    return this.chosen?.isAnnounced ?? false;
  }

  async ensure(): Promise<string> {
    this.chosen ??= await this.choose();
    try {
      return await this.chosen.ensure();
    } catch (error) {
      if (isMissingCommand(error)) this.chosen = undefined; // somebody removes packages
      throw error;
    }
  }

  private async choose(): Promise<Firewall> {
    const { wanted } = this;
    const other = wanted === 'iptables' ? 'nftables' : 'iptables';
    const isThere = await this.has(wanted);
    if (!isThere && !(await this.has(other))) throw missingCommand(NEITHER);
    const flavour = isThere ? wanted : other;
    const left = isThere ? other : wanted;
    if (!isThere)
      this.onEvent(
        `${TOOLS[wanted]} is not installed: firewall rules are written by ${TOOLS[other]}`,
      );
    const removed = await removeRules(left, this.run).catch((error: unknown) => [
      `not removed: ${messageOf(error)}`,
    ]);
    for (const line of removed) this.onEvent(`firewall rules of the other kind: ${line}`);
    return createFirewall(flavour, this.wishes, this.run);
  }

  /** Whether the host has the commands for every family. */
  private async has(flavour: Flavour): Promise<boolean> {
    for (const { family } of this.wishes.families) {
      const command = flavour === 'nftables' ? 'nft' : family === 4 ? 'iptables' : 'ip6tables';
      const isMissing = await this.run(command, ['--version']).then(() => false, isMissingCommand);
      if (isMissing) return false;
    }
    return true;
  }
}

const TOOLS = { iptables: 'iptables', nftables: 'nft' };
const NEITHER =
  'neither iptables nor nft is installed; install one of them (Debian packages iptables, nftables)';
