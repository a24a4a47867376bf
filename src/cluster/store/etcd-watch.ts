/** One watch stream over a range of keys, on etcd3's raw call: when it ends for whatever reason, its user lists again. */
import type { Readable } from 'node:stream';
import type { Etcd3, IEvent, IWatchResponse } from 'etcd3';
import { messageOf } from '../../shared/errors.ts';

export interface KeyRange {
  key: Buffer;
  /** first key behind the range */
  range_end: Buffer;
}

/** The stream is asked for its progress (etcd 3.4 answers at once, older ones never do). */
const PING_MS = 5_000;
/** The keys are compared with etcd's: costs a look at all of them there. */
const CHECK_MS = 15_000;

/**
 * Calls back with all events behind a revision, until the signal aborts or something is amiss: the stream broke, etcd cancelled it
 * (compaction, no leader, rights), or `inStep` says or throws that the caller's keys are not etcd's any more. Resolves with why.
 */
export async function followKeys(
  client: Etcd3,
  range: KeyRange,
  afterRevision: string,
  onEvents: (events: IEvent[]) => void,
  inStep: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<string> {
  if (signal.aborted) return 'stopped';
  const stream = await client.watchClient.watch();
  const flow = stream as unknown as Readable; // what etcd3's type leaves out
  return new Promise((resolve) => {
    let isOver = false;
    const end = (why: string): void => {
      isOver = true;
      clearInterval(check);
      clearInterval(ping);
      signal.removeEventListener('abort', onAbort);
      resolve(why);
      stream.cancel();
    };
    const onAbort = (): void => end('stopped');
    let answersPings = false;
    let isWaiting = false;
    const ping = setInterval(() => {
      if (isWaiting && answersPings) return end('the watch is silent');
      isWaiting = true;
      stream.write({ progress_request: {} });
    }, PING_MS);
    const check = setInterval(() => {
      inStep().then(
        (isSame) => isSame || end('events were missed'),
        (error) => end(messageOf(error)),
      );
    }, CHECK_MS);
    signal.addEventListener('abort', onAbort);
    stream.on('data', (response: IWatchResponse) => {
      if (isOver) return; // still on its way when we hung up; the caller lists anew
      if (isWaiting) answersPings ||= !response.created && response.events.length === 0;
      isWaiting = false;
      if (response.canceled) return end(cancelReason(response));
      if (response.events.length > 0) onEvents(response.events);
      // Messages that are here already would come one after the other without a look at anything else: timers, other connections.
      flow.pause();
      setImmediate(() => isOver || flow.resume());
    });
    stream.on('error', (error) => end(messageOf(error)));
    stream.on('end', () => end('etcd closed the watch'));
    const start_revision = String(BigInt(afterRevision) + 1n);
    stream.write({ create_request: { ...range, start_revision, progress_notify: true } });
  });
}

function cancelReason(response: IWatchResponse): string {
  if (response.compact_revision !== '0') return `compacted up to ${response.compact_revision}`;
  return `etcd cancelled the watch: ${response.cancel_reason || 'no reason given'}`;
}
