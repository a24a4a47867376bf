/** This node's lease as it remembers it, until the registry has confirmed it; from then on it is the registry's. */
import type { Lease, LeaseAttributes } from '../lease/lease.ts';
import type { HeldLease, LeaseState } from '../registry.ts';

export class RememberedLease implements HeldLease {
  private remembered: Lease;
  private held: HeldLease | undefined;
  /** what changed while nobody could be told */
  private changed: LeaseAttributes | undefined;

  constructor(remembered: Lease) {
    this.remembered = remembered;
  }

  get lease(): Lease {
    return this.held?.lease ?? this.remembered;
  }

  get state(): LeaseState {
    return this.held?.state ?? 'remembered';
  }

  get renewals(): HeldLease['renewals'] {
    return this.held?.renewals ?? { ok: 0, failed: 0 };
  }

  async publish(attributes: LeaseAttributes): Promise<void> {
    if (this.held) return this.held.publish(attributes);
    this.changed = attributes;
    this.remembered = { ...this.remembered, attributes };
  }

  stop(): void {
    this.held?.stop();
  }

  /** The registry holds it now. */
  async confirm(held: HeldLease): Promise<void> {
    this.held = held;
    if (this.changed) await held.publish(this.changed);
  }
}
