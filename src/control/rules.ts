/** Keeps the firewall rules in place: installs them, looks again now and then, says when they are missing. */

import { isMissingCommand } from '../host/exec.ts';
import type { Firewall } from '../host/firewall/wishes.ts';
import { messageOf } from '../shared/errors.ts';
import { type Log, RepeatFilter } from './log/log.ts';

export class RuleKeeper {
  /** Why the rules are not in place, '' when they are. */
  problem = 'firewall rules are not installed yet';
  private readonly firewall: Firewall;
  private readonly log: Log;
  private readonly masquerades: boolean;
  private readonly repeats = new RepeatFilter();
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  /** `masquerades`: without the rules nobody would do it, because plugins are told not to. */
  constructor(firewall: Firewall, masquerades: boolean, log: Log) {
    this.firewall = firewall;
    this.masquerades = masquerades;
    this.log = log;
  }

  /** Installs the rules; they are looked at again every `resyncMs`. A host that refuses them is an alarm, not an end. */
  async start(resyncMs: number): Promise<void> {
    await this.ensure('installed');
    const again = async (): Promise<void> => {
      await this.ensure('healed');
      if (!this.stopped) this.timer = setTimeout(again, resyncMs).unref();
    };
    if (!this.stopped) this.timer = setTimeout(again, resyncMs).unref();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private async ensure(verb: string): Promise<void> {
    try {
      const changed = await this.firewall.ensure();
      this.problem = '';
      if (changed !== '') this.log.info(`firewall rules ${verb}: ${changed}`);
    } catch (error) {
      const message = messageOf(error);
      // A host without the tool has no policy of that tool that forward rules would have to overcome.
      const isNeeded = this.masquerades || !isMissingCommand(error);
      this.problem = isNeeded ? message : '';
      if (this.repeats.isNew(message)) this.log.error(`firewall rules: ${message}`);
    }
  }
}
