/**
 * Events on this node's Node, which `kubectl describe node` shows beside its conditions. They are courtesy: nothing waits for them, a
 * ServiceAccount without the right to them (flannel's) is no fault, and a node that is in trouble writes few of them.
 */
import { randomBytes } from 'node:crypto';
import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import { printable } from '../../shared/printable.ts';
import type { PlainLog } from '../../shared/repeats.ts';
import type { Notice } from '../registry.ts';
import type { KubernetesClient } from './client.ts';
import { KubernetesError } from './failure.ts';
import type { NodeRecord } from './node.ts';

/** Where the cluster keeps events of what is in no namespace. */
const EVENTS = '/api/v1/namespaces/default/events';
/** An event of one reason is written once in this time; what comes in between is counted. */
const REASON_MS = 600_000;
/** Of all reasons together. */
const HOUR_MS = 3_600_000;
const WRITES_PER_HOUR = 10;
/** How soon what could not be written is tried again. */
const AGAIN_MS = 15_000;
/** The API server takes no longer message. */
const MESSAGE_CHARACTERS = 1_000;
const COMPONENT = 'weft';

/** Whether this right is one to events: they are a favour, and not to have it is no fault. */
export function isOfEvents(right: string): boolean {
  return right.includes(EVENTS);
}

/** All that was said for one reason. */
interface Told {
  notice: Notice;
  /** ms since the epoch */
  firstAtMs: number;
  lastAtMs: number;
  count: number;
  /** of its event, and whether the server has that */
  name: string;
  isThere: boolean;
  /** the event says all of this */
  isWritten: boolean;
  /** not written before then, by the monotonic clock */
  nextAtMs: number;
}

export class NodeEvents {
  private readonly client: KubernetesClient;
  private readonly log: PlainLog;
  private readonly clock: Clock;
  private node: Pick<NodeRecord, 'name' | 'uid'> | undefined;
  private readonly told = new Map<string, Told>();
  /** of the last hour, by the monotonic clock */
  private writtenAtMs: number[] = [];
  private isWriting = false;
  private isOff = false;
  private again: Timer | undefined;

  constructor(client: KubernetesClient, { log, clock }: { log: PlainLog; clock: Clock }) {
    this.client = client;
    this.log = log;
    this.clock = clock;
  }

  /** Which Node events are about. One that was made anew has none yet. */
  about({ name, uid }: Pick<NodeRecord, 'name' | 'uid'>): void {
    if (this.node?.uid !== uid) for (const one of this.told.values()) rename(one, name);
    this.node = { name, uid };
  }

  tell(notice: Notice): void {
    if (this.isOff || !this.node) return;
    const nowMs = this.clock.nowMs();
    const known = this.told.get(notice.reason) ?? newlyTold(notice, nowMs, this.node.name);
    this.told.set(notice.reason, known);
    known.notice = notice;
    known.lastAtMs = nowMs;
    known.count++;
    known.isWritten = false;
    void this.writeWaiting();
  }

  /** What waits is left out. */
  stop(): void {
    this.isOff = true;
    this.again?.stop();
  }

  private async writeWaiting(): Promise<void> {
    if (this.isWriting) return;
    this.isWriting = true;
    for (const one of this.told.values()) if (this.mayWrite(one)) await this.write(one);
    this.isWriting = false;
    this.again?.stop();
    const waits = [...this.told.values()].some(({ isWritten }) => !isWritten);
    if (waits && !this.isOff)
      this.again = this.clock.after(AGAIN_MS, () => void this.writeWaiting());
  }

  private mayWrite({ isWritten, nextAtMs }: Told): boolean {
    const nowMs = this.clock.monotonicMs();
    this.writtenAtMs = this.writtenAtMs.filter((atMs) => nowMs - atMs < HOUR_MS);
    const hasRoom = this.writtenAtMs.length < WRITES_PER_HOUR;
    return !this.isOff && !isWritten && nowMs >= nextAtMs && hasRoom;
  }

  /** Never rejects. */
  private async write(one: Told): Promise<void> {
    one.isWritten = true; // unless more is said meanwhile
    try {
      if (one.isThere) await this.client.patch(`${EVENTS}/${one.name}`, changesOf(one));
      else await this.client.post(EVENTS, this.eventOf(one));
      one.isThere = true;
      const nowMs = this.clock.monotonicMs();
      one.nextAtMs = nowMs + REASON_MS;
      this.writtenAtMs.push(nowMs);
    } catch (error) {
      one.isWritten = false;
      this.note(error, one);
    }
  }

  private note(error: unknown, one: Told): void {
    const kind = error instanceof KubernetesError ? error.kind : 'refused';
    if (kind === 'not found') rename(one, this.node?.name ?? ''); // the server keeps events for an hour
    if (kind === 'conflict') one.isThere = true; // an answer was lost
    if (kind !== 'refused' || this.isOff) return;
    this.stop();
    this.log.info(`no events are written to this Node: ${messageOf(error)}`);
  }

  private eventOf(one: Told): object {
    const { name, uid } = this.node as NodeRecord;
    const { reason, isWarning } = one.notice;
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: one.name, namespace: 'default' },
      involvedObject: { apiVersion: 'v1', kind: 'Node', name, uid },
      reason,
      type: isWarning ? 'Warning' : 'Normal',
      source: { component: COMPONENT, host: name },
      reportingComponent: COMPONENT,
      reportingInstance: name,
      firstTimestamp: timeOf(one.firstAtMs),
      ...changesOf(one),
    };
  }
}

function newlyTold(notice: Notice, nowMs: number, nodeName: string): Told {
  const times = { firstAtMs: nowMs, lastAtMs: nowMs, nextAtMs: Number.NEGATIVE_INFINITY };
  return { notice, ...times, count: 0, name: nameOf(nodeName), isThere: false, isWritten: false };
}

function rename(one: Told, nodeName: string): void {
  one.name = nameOf(nodeName);
  one.isThere = false;
}

function nameOf(nodeName: string): string {
  return `${nodeName}.${randomBytes(8).toString('hex')}`;
}

/** What differs from one time to the next. */
function changesOf({ notice, count, lastAtMs }: Told): object {
  const message = printable(notice.text, MESSAGE_CHARACTERS);
  return { message, count, lastTimestamp: timeOf(lastAtMs) };
}

function timeOf(atMs: number): string {
  return new Date(atMs).toISOString().replace(/\.\d+Z$/, 'Z');
}
