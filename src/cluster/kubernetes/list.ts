/** All objects of a collection, page by page at one version: no answer is larger than we take, however large the objects are. */
import { type KubernetesClient, TooLarge } from './client.ts';
import { KubernetesError } from './failure.ts';
import type { KubernetesObject, ObjectList } from './object.ts';

const PAGE_OBJECTS_MAX = 500;
/** A page that is too large is asked for again with so much fewer objects. */
const SHRINK = 4;
/** How often all is read anew because the server forgot the version of the first page. */
const TRIES = 3;

/**
 * Calls `begin` before the first object, again whenever all begins anew, and `onObject` with each. `path` may have a query. Resolves with
 * the version that all of them are of. Throws as {@link KubernetesClient.get}.
 */
export async function listObjects(
  client: KubernetesClient,
  path: string,
  begin: () => void,
  onObject: (object: KubernetesObject) => void,
  signal?: AbortSignal,
): Promise<string> {
  for (let tries = 1; ; tries++) {
    begin();
    try {
      return await listOnce(client, path, onObject, signal);
    } catch (error) {
      if (!isGone(error) || tries === TRIES) throw error;
    }
  }
}

export function isGone(error: unknown): boolean {
  return error instanceof KubernetesError && error.kind === 'gone';
}

/** The same path with more in its query. */
export function withQuery(path: string, query: Readonly<Record<string, string | number>>): string {
  const words = Object.entries(query).map(([key, value]) => `${key}=${encodeURIComponent(value)}`);
  return `${path}${path.includes('?') ? '&' : '?'}${words.join('&')}`;
}

async function listOnce(
  client: KubernetesClient,
  path: string,
  onObject: (object: KubernetesObject) => void,
  signal: AbortSignal | undefined,
): Promise<string> {
  let limit = PAGE_OBJECTS_MAX;
  let version: string | undefined;
  for (let rest: string | undefined = ''; rest !== undefined; ) {
    const query = { limit, ...(rest !== '' && { continue: rest }) };
    const page = await readPage(client, withQuery(path, query), limit, signal);
    if (page === 'too large') {
      limit = Math.ceil(limit / SHRINK);
      continue;
    }
    for (const object of page.items ?? []) onObject(object);
    version ??= page.metadata?.resourceVersion;
    rest = page.metadata?.continue || undefined;
  }
  if (version !== undefined) return version;
  const fault = 'the answer is not a list; this is not an API server, or a proxy is in between';
  throw new KubernetesError('unavailable', `${client.name}: GET ${path}: ${fault}`);
}

async function readPage(
  client: KubernetesClient,
  path: string,
  limit: number,
  signal: AbortSignal | undefined,
): Promise<ObjectList | 'too large'> {
  try {
    return await client.get<ObjectList>(path, signal);
  } catch (error) {
    if (error instanceof TooLarge && limit > 1) return 'too large';
    throw error;
  }
}
