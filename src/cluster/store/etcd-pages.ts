/** All keys of a range, page by page at one revision: no answer is larger than we take, whatever others have written there. */
import type { IKeyValue, IRangeRequest } from 'etcd3';
import { messageOf } from '../../shared/errors.ts';
import type { EtcdSession } from './etcd-session.ts';
import type { KeyRange } from './etcd-watch.ts';

/** Usual leases have some hundred bytes. */
const PAGE_KEYS_MAX = 1_000;
/** A page that is too large is asked for again with so much fewer keys. */
const SHRINK = 8;
/** How often all is read anew because etcd forgot the revision of the first page. */
const TRIES = 3;

type Page = { keys: readonly IKeyValue[]; more: boolean; revision: string };

/**
 * Calls back with each key, up to `most` of them; one whose value is larger than an answer may be comes without a value. Resolves with the
 * revision that all of them are of. Throws as {@link EtcdSession.call}.
 */
export async function readPages(
  session: Pick<EtcdSession, 'call'>,
  range: KeyRange,
  most: number,
  begin: () => void,
  onKey: (key: IKeyValue) => void,
): Promise<string> {
  for (let tries = 1; ; tries++) {
    begin();
    const revision = await readOnce(session, range, most, onKey, tries === TRIES);
    if (revision !== undefined) return revision;
  }
}

/** undefined when the revision was compacted meanwhile; the last try throws then. */
async function readOnce(
  session: Pick<EtcdSession, 'call'>,
  range: KeyRange,
  most: number,
  onKey: (key: IKeyValue) => void,
  isLast: boolean,
): Promise<string | undefined> {
  let limit = PAGE_KEYS_MAX;
  let { key } = range;
  let revision: string | undefined;
  for (let left = most; ; ) {
    const asked = Math.min(limit, left);
    const request = { ...range, key, limit: asked, ...(revision && { revision }) };
    const page = await readPage(session, request, isLast);
    if (page === 'compacted') return undefined;
    if (page === 'too large') {
      limit = Math.ceil(asked / SHRINK);
      continue;
    }
    for (const each of page.keys) onKey(each);
    revision ??= page.revision;
    left -= page.keys.length;
    const last = page.keys.at(-1);
    if (!last || !page.more || left <= 0) return revision;
    key = Buffer.concat([last.key, Buffer.from([0])]); // the next key that there may be
    limit = Math.min(PAGE_KEYS_MAX, limit * 2);
  }
}

async function readPage(
  session: Pick<EtcdSession, 'call'>,
  request: IRangeRequest,
  isLast: boolean,
): Promise<Page | 'too large' | 'compacted'> {
  return session.call(async (client) => {
    try {
      const { kvs, more, header } = await client.kv.range(request);
      return { keys: kvs, more, revision: header.revision };
    } catch (error) {
      if (!isLast && /has been compacted/.test(messageOf(error))) return 'compacted';
      if (!/larger than max/.test(messageOf(error))) throw error;
      if (request.limit !== 1) return 'too large';
      const { kvs, more, header } = await client.kv.range({ ...request, keys_only: true });
      return { keys: kvs, more, revision: header.revision };
    }
  });
}
