/** One watch request: what the API server says of a collection behind a version, event by event. */
import type { KubernetesClient } from './client.ts';
import { KubernetesError, kindOf, said } from './failure.ts';
import { withQuery } from './list.ts';
import type { KubernetesObject, StatusObject } from './object.ts';

/** The largest object that etcd takes, and what JSON makes of it. */
const LINE_BYTES_MAX = 8 << 20;
const NEWLINE = 10;

export interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  object: KubernetesObject;
}

export interface WatchWish {
  path: string;
  /** events behind this one */
  version: string;
  /** The server ends the stream after about so long. */
  timeoutS: number;
  /** The stream is ended when nothing comes for so long. */
  silenceMs: number;
  onOpen(): void;
  onEvent(event: WatchEvent): void;
}

/**
 * Resolves when the stream ends, whoever ended it; with "silent" where nothing ever came until we ended it. Throws a KubernetesError: gone
 * when the server knows this version no more, unavailable when it does not answer or says what is no event.
 */
export async function watchOnce(
  client: KubernetesClient,
  wish: WatchWish,
  signal: AbortSignal,
): Promise<'ended' | 'silent'> {
  const query = { watch: 1, allowWatchBookmarks: 'true', timeoutSeconds: wish.timeoutS };
  const path = withQuery(wish.path, { ...query, resourceVersion: wish.version });
  const response = await client.stream(path, signal);
  let isSilent = false;
  const silence = setTimeout(() => {
    isSilent = true;
    response.destroy();
  }, wish.silenceMs);
  const lines = new Lines(client.name);
  let isHeard = false;
  try {
    wish.onOpen();
    for await (const part of untilItEnds(response)) {
      silence.refresh();
      isHeard = true;
      for (const line of lines.add(part)) wish.onEvent(eventIn(line, client.name));
    }
  } finally {
    clearTimeout(silence);
    response.destroy();
  }
  return isSilent && !isHeard ? 'silent' : 'ended';
}

/** How a connection ended tells nothing: the next request learns what is the matter. */
async function* untilItEnds(response: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* response;
  } catch {
    // cut, or ended by us
  }
}

/** Whole lines of a stream, each bounded. */
export class Lines {
  private readonly where: string;
  private parts: Buffer[] = [];
  private bytes = 0;

  /** `where` is for messages. */
  constructor(where: string) {
    this.where = where;
  }

  *add(part: Buffer): Generator<string> {
    let at = 0;
    for (let end = part.indexOf(NEWLINE); end >= 0; end = part.indexOf(NEWLINE, at)) {
      this.keep(part.subarray(at, end));
      at = end + 1;
      const line = Buffer.concat(this.parts).toString('utf8');
      this.parts = [];
      this.bytes = 0;
      if (line !== '') yield line;
    }
    if (at < part.length) this.keep(part.subarray(at));
  }

  private keep(part: Buffer): void {
    this.bytes += part.length;
    if (this.bytes > LINE_BYTES_MAX)
      throw new KubernetesError(
        'unavailable',
        `${this.where}: an event is larger than ${LINE_BYTES_MAX} bytes`,
      );
    this.parts.push(part);
  }
}

function eventIn(line: string, where: string): WatchEvent {
  let event: { type?: unknown; object?: unknown } | null;
  try {
    event = JSON.parse(line) as typeof event;
  } catch {
    throw new KubernetesError(
      'unavailable',
      `${where}: the watch sent something that is not JSON; a proxy may be in between`,
    );
  }
  const object = event?.object;
  if (typeof object !== 'object' || object === null)
    throw new KubernetesError(
      'unavailable',
      `${where}: the watch sent something that is not an event`,
    );
  if (event?.type === 'ERROR') throw errorIn(object as StatusObject, where);
  return event as WatchEvent;
}

function errorIn({ code, message }: StatusObject, where: string): KubernetesError {
  const status = typeof code === 'number' ? code : 500;
  const text = `${where}: the watch ended: ${said(String(message))}`;
  return new KubernetesError(kindOf(status), text, { status });
}
