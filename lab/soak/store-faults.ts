/** A store that is away, stands still, forgets its past or everything. None of it may touch what pods of weft nodes say to each other. */
import { cpSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ETCD_PREFIX } from '../lab.ts';
import type { FaultKind } from './fault.ts';
import type { Scene } from './scene.ts';

const STORE = { group: 'store', target: 'store' } as const;
const UNTOUCHED = { touches: 'nobody', loses: false, boundMs: 0 } as const;
/** A daemon that could not reach the store tries again after at most this, and a bit. */
const AGAIN_MS = 30_000;

export const STORE_FAULTS: readonly FaultKind[] = [
  {
    name: 'etcd killed',
    ...STORE,
    ...UNTOUCHED,
    store: 'etcd',
    heldMs: [500, 8_000],
    healMs: AGAIN_MS,
    async happen(scene, { heldMs }) {
      await scene.etcd.kill();
      await sleep(heldMs);
      await scene.etcd.start();
      await scene.etcd.waitUntilServing();
    },
  },
  {
    name: 'etcd frozen',
    ...STORE,
    ...UNTOUCHED,
    store: 'etcd',
    heldMs: [1_000, 12_000],
    healMs: AGAIN_MS,
    async happen(scene, { heldMs }) {
      scene.etcd.pause();
      await sleep(heldMs);
      scene.etcd.resume();
    },
  },
  {
    name: 'etcd cut off',
    ...STORE,
    ...UNTOUCHED,
    store: 'etcd',
    heldMs: [500, 8_000],
    healMs: AGAIN_MS,
    async happen(scene, { heldMs }) {
      await scene.lab.linkStore('down');
      await sleep(heldMs);
      await scene.lab.linkStore('up');
    },
  },
  {
    name: 'etcd compacted',
    ...STORE,
    ...UNTOUCHED,
    store: 'etcd',
    heldMs: [0, 0],
    healMs: 10_000,
    happen: (scene) => scene.etcd.ctl().compact(),
  },
  {
    // The nodes put their keys back. The stock one loses its peers until they have and until its follower, the lab's, has seen it.
    name: 'etcd wiped',
    ...STORE,
    store: 'etcd',
    touches: 'kernel',
    loses: true,
    heldMs: [500, 3_000],
    boundMs: 5_000,
    healMs: AGAIN_MS,
    async happen(scene, { heldMs }) {
      await scene.etcd.wipe();
      await sleep(heldMs);
      await scene.etcd.start();
      await scene.etcd.waitUntilServing();
      await scene.etcd.ctl().put(`${ETCD_PREFIX}/config`, scene.config);
      await scene.kernel.publish();
      await untilPublished(scene);
      await scene.kernel.catchUp();
    },
  },
  {
    name: 'folder away',
    ...STORE,
    ...UNTOUCHED,
    store: 'file',
    heldMs: [500, 8_000],
    healMs: AGAIN_MS,
    async happen({ lab: { storeDir } }, { heldMs }) {
      // The nodes may make the folder anew meanwhile: what is in it then is theirs.
      renameSync(storeDir, `${storeDir}.away`);
      await sleep(heldMs);
      cpSync(`${storeDir}.away`, storeDir, { recursive: true });
      rmSync(`${storeDir}.away`, { recursive: true });
    },
  },
  {
    name: 'folder emptied',
    ...STORE,
    store: 'file',
    touches: 'kernel',
    loses: true,
    heldMs: [0, 0],
    boundMs: 5_000,
    healMs: AGAIN_MS,
    async happen(scene) {
      const folder = path.join(scene.lab.storeDir, 'subnets');
      mkdirSync(folder, { recursive: true });
      for (const name of readdirSync(folder)) rmSync(path.join(folder, name), { force: true });
      await scene.kernel.publish();
      await untilPublished(scene);
      await scene.kernel.catchUp();
    },
  },
];

const PUBLISHED_MS = 30_000;

/** Each node's key is in the store again, put back by the nodes themselves. */
async function untilPublished(scene: Scene): Promise<void> {
  const deadline = Date.now() + PUBLISHED_MS;
  for (;;) {
    const values = [...(await scene.lab.board.read()).values()];
    const missing = scene.lab.nodes.filter(
      ({ underlay }) => !values.some((value) => value.includes(`"${underlay.address4}"`)),
    );
    if (missing.length === 0) return;
    if (Date.now() > deadline)
      throw new Error(`not in the store again: ${missing.map(({ name }) => name).join(', ')}`);
    await sleep(100);
  }
}
