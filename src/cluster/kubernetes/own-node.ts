/**
 * This node's Node object: its pods' subnet is what the cluster wrote there, and beside it stands what peers must know, which we write
 * and put back whenever it is not what it should be. Nothing here expires, and nothing is ever given back.
 */
import { formatAddress, formatPrefix, type Words } from '../../shared/address.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import { printable } from '../../shared/printable.ts';
import { type PlainLog, rarely } from '../../shared/repeats.ts';
import type { Lease, LeaseAttributes, LeaseSubnets } from '../lease/lease.ts';
import { type HeldLease, type LeaseState, type Notice, startAgain } from '../registry.ts';
import {
  type AnnotationNames,
  type Annotations,
  decodeAnnotations,
  encodeAnnotations,
  otherChoice,
  readAddress,
} from './annotations.ts';
import type { KubernetesClient } from './client.ts';
import { type NodeRecord, nodePath, recordOf, sameRecord } from './node.ts';
import type { NodeObject } from './object.ts';

const AGAIN_MS = 5_000;
/** Somebody else writes what we write: two that put theirs back at once would never end. */
const CONTEST_MS = 60_000;

export interface OwnNodeParts {
  client: KubernetesClient;
  names: AnnotationNames;
  /** of families that the network has */
  subnetsOf(record: NodeRecord): LeaseSubnets;
  /** to the people of the cluster */
  tell(notice: Notice): void;
  log: PlainLog;
  clock: Clock;
}

export class OwnNode implements HeldLease {
  lease: Lease;
  state: LeaseState = 'held';
  /** why {@link state} is another one than held; '' while it is */
  problem = '';
  readonly renewals = { ok: 0, failed: 0 };
  private readonly parts: OwnNodeParts;
  private readonly rare: PlainLog;
  /** as the daemon found them, without what people overwrite */
  private attributes: LeaseAttributes;
  /** the newest that we know */
  private record: NodeRecord;
  /** what we write over: news that are under way may still say it */
  private former: NodeRecord | undefined;
  /** what was not as it should be, and is being seen to: other nodes' news bring it again and again */
  private judged: NodeRecord | undefined;
  /** by name, as written last: nobody else's when news bring them late */
  private written: Readonly<Record<string, string>> = {};
  /** which object knows that pods may be scheduled; undefined: nobody is to know */
  private readyUid: string | undefined;
  /** by the monotonic clock */
  private contestedAtMs = Number.NEGATIVE_INFINITY;
  private isWriting = false;
  private isStopped = false;
  private again: Timer | undefined;
  private readyAgain: Timer | undefined;

  /** `record` has a subnet that fits. Nothing is written yet. */
  constructor(record: NodeRecord, attributes: LeaseAttributes, parts: OwnNodeParts) {
    this.record = record;
    this.attributes = attributes;
    this.parts = parts;
    this.rare = rarely(parts.log, parts.clock);
    this.lease = this.leaseOf(record);
  }

  /** As the newest object has them; untrusted text. */
  get podCidrs(): readonly string[] {
    return this.record.podCidrs;
  }

  stop(): void {
    this.isStopped = true;
    this.again?.stop();
    this.readyAgain?.stop();
  }

  /** Writes what the object does not say yet; false where it says all. Throws what the client throws. */
  async write(): Promise<boolean> {
    const patch = this.differences();
    if (Object.keys(patch).length === 0) return false;
    this.isWriting = true;
    const { client, names } = this.parts;
    const before = this.record;
    this.former = before;
    this.written = encodeAnnotations(this.lease.attributes, names);
    try {
      const metadata = { annotations: patch };
      const path = `${nodePath(before.name)}/status`;
      const after = recordOf(await client.patch<NodeObject>(path, { metadata }), names);
      // News may have come before the answer, and are newer.
      if (this.record === before && after) this.record = after;
      this.renewals.ok++;
      return true;
    } catch (error) {
      this.renewals.failed++;
      this.former = undefined;
      throw error;
    } finally {
      this.isWriting = false;
    }
  }

  async publish(attributes: LeaseAttributes): Promise<void> {
    this.attributes = attributes;
    this.lease = this.leaseOf(this.record);
    await this.putBack();
  }

  /**
   * Whether the object, as it is now, says what we wrote; undefined: there is none. Throws what only another start can follow: another
   * subnet, or another address that people chose.
   */
  see(record: NodeRecord | undefined): boolean {
    if (!record) return this.lose('this Node is gone from the API server; waiting for it');
    const { names } = this.parts;
    if (record.podCidrs.length === 0)
      return this.lose('this Node has no podCIDR any more; waiting for one');
    this.checkSame(record);
    if (this.judged && sameRecord(record, this.judged)) return false;
    const isLate = this.former !== undefined && sameRecord(record, this.former);
    const isForeign = this.isForeign(record);
    this.record = record;
    this.lease = this.leaseOf(record);
    if (this.isUnwritten()) {
      this.judged = record;
      // What we wrote over comes late, or somebody wrote it again: that shows.
      if (isLate) this.later(AGAIN_MS);
      else this.contend(isForeign, decodeAnnotations(record.annotations, names).publicIp4);
      return false;
    }
    this.former = undefined;
    this.judged = undefined;
    this.again?.stop();
    this.hold();
    if (this.readyUid !== undefined && this.readyUid !== record.uid) void this.sayReady();
    return true;
  }

  /** Pods may be scheduled here: tried until the object says so, and again on an object that was made anew. */
  async sayReady(): Promise<void> {
    const { client, clock } = this.parts;
    const { name, uid } = this.record;
    this.readyUid = uid;
    const now = new Date(clock.nowMs()).toISOString().replace(/\.\d+Z$/, 'Z');
    const condition = {
      type: 'NetworkUnavailable',
      status: 'False',
      lastHeartbeatTime: now,
      lastTransitionTime: now,
      reason: 'FlannelIsUp',
      message: 'Flannel is running on this node',
    };
    try {
      await client.patch(`${nodePath(name)}/status`, { status: { conditions: [condition] } });
    } catch (error) {
      this.rare.warn(`the Node's condition NetworkUnavailable stays as it is: ${messageOf(error)}`);
      this.readyAgain?.stop();
      if (!this.isStopped) this.readyAgain = clock.after(AGAIN_MS, () => void this.sayReady());
    }
  }

  // ---- what it should say ----

  private leaseOf(record: NodeRecord): Lease {
    const attributes = this.published(record);
    const { name, uid } = record;
    return {
      ...this.parts.subnetsOf(record),
      key: name,
      attributes,
      isPermanent: false,
      revision: uid,
    };
  }

  /** Ours, but for the addresses that people overwrite. */
  private published({ annotations }: NodeRecord): LeaseAttributes {
    const { names } = this.parts;
    const attributes = { ...this.attributes };
    const own4 = this.overwrite(() => readAddress(annotations, names.overwrite4, 4));
    const own6 = this.overwrite(() => readAddress(annotations, names.overwrite6, 6));
    if (attributes.publicIp4 && own4) attributes.publicIp4 = own4;
    if (attributes.publicIp6 && own6) attributes.publicIp6 = own6;
    return attributes;
  }

  /** A slip of somebody's pen while we run leaves the address that was found. */
  private overwrite(read: () => Words | undefined): Words | undefined {
    try {
      return read();
    } catch (error) {
      this.rare.error(messageOf(error));
      return undefined;
    }
  }

  /** What must be written, by name; null: taken away, of a family that is not there any more. */
  private differences(): Record<string, string | null> {
    const { names } = this.parts;
    const { annotations } = this.record;
    const wanted = encodeAnnotations(this.lease.attributes, names);
    const stale = namesOfFamilies(names).filter(
      (name) => wanted[name] === undefined && annotations[name] !== undefined,
    );
    const other = Object.entries(wanted).filter(([name, text]) => annotations[name] !== text);
    return Object.fromEntries([...stale.map((name) => [name, null]), ...other]);
  }

  private isUnwritten(): boolean {
    return Object.keys(this.differences()).length > 0;
  }

  // ---- when it says something else ----

  private checkSame(record: NodeRecord): void {
    const [before, now] = [textOf(this.lease), textOf(this.parts.subnetsOf(record))];
    if (before !== now)
      throw startAgain(`the podCIDR of Node ${record.name} was ${before} and is ${now}`);
    const { names } = this.parts;
    checkChoice(this.record.annotations, record, names);
  }

  private lose(why: string): false {
    this.state = 'lost';
    this.problem = why;
    this.rare.error({ node: this.record.name }, why);
    return false;
  }

  /** Somebody took nothing away, but wrote other data of a VTEP. */
  private isForeign({ annotations }: NodeRecord): boolean {
    const { names } = this.parts;
    const wanted = encodeAnnotations(this.lease.attributes, names);
    return namesOfFamilies(names).some(
      (name) =>
        annotations[name] !== undefined &&
        annotations[name] !== wanted[name] &&
        annotations[name] !== this.written[name],
    );
  }

  /** Puts ours back: at once, and if it is written over again, only after a while and with an alarm. */
  private contend(isForeign: boolean, other: Words | undefined): void {
    const nowMs = this.parts.clock.monotonicMs();
    // Also of one that waits for as long as we do.
    const isContest = isForeign && nowMs - this.contestedAtMs < 2 * CONTEST_MS;
    if (isForeign) this.contestedAtMs = nowMs;
    if (!isContest) {
      this.state = 'lost';
      this.problem = 'somebody changed its annotations; they are being put back';
      void this.putBack();
      return;
    }
    this.state = 'taken';
    const who = other ? ` (with the address ${formatAddress(other)})` : '';
    this.problem = `somebody else${who} writes the annotations of this Node: two daemons have one node name, or flanneld runs beside weft`;
    this.rare.error({ node: this.record.name }, this.problem);
    this.parts.tell({ reason: 'AnnotationsContested', isWarning: true, text: this.problem });
    this.later(CONTEST_MS);
  }

  private async putBack(): Promise<void> {
    if (this.isStopped) return;
    if (this.isWriting) return this.later(AGAIN_MS); // what is new now is not in that write
    const { log } = this.parts;
    try {
      if (!(await this.write())) return;
      this.judged = undefined;
      if (this.isUnwritten()) return this.later(AGAIN_MS);
      this.hold();
      log.info({ node: this.record.name }, "this Node's annotations were written");
    } catch (error) {
      this.problem = `this Node's annotations can't be written yet: ${messageOf(error)}`;
      this.rare.error(this.problem);
      this.later(AGAIN_MS);
    }
  }

  private hold(): void {
    this.state = 'held';
    this.problem = '';
  }

  private later(waitMs: number): void {
    this.again?.stop();
    if (!this.isStopped) this.again = this.parts.clock.after(waitMs, () => void this.putBack());
  }
}

/** Throws what only another start can follow: people chose another address. */
export function checkChoice(
  before: Annotations,
  { name, annotations }: NodeRecord,
  names: AnnotationNames,
): void {
  const other = otherChoice(before, annotations, names);
  if (other === undefined) return;
  const text = printable(annotations[other] ?? '');
  throw startAgain(`annotation ${other} of Node ${name} is "${text}" now`);
}

/** What a node has for each of its families. */
function namesOfFamilies({ data4, data6, publicIp4, publicIp6 }: AnnotationNames): string[] {
  return [data4, data6, publicIp4, publicIp6];
}

function textOf({ subnet4, subnet6 }: LeaseSubnets): string {
  return [subnet4, subnet6].flatMap((subnet) => (subnet ? formatPrefix(subnet) : [])).join(', ');
}
