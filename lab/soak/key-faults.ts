/** What strangers do to leases: one's own key and that of another node deleted or spoilt, and keys that nobody asked for. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultAct, FaultKind } from './fault.ts';
import type { Scene } from './scene.ts';

const KEYS = { group: 'keys', needsStore: true } as const;
/** More than any lease has; what one command line takes. */
const OVERSIZE_BYTES = 100_000;
const JUNK_KEYS: Readonly<Record<string, string>> = {
  hello: 'junk',
  '10.244.250.0-24': '{"PublicIP":3}',
  '10.244.251.0-24': 'x'.repeat(OVERSIZE_BYTES),
  '10.244.252.0-24&x': '{}',
  '10.244.253.0-33': '[]',
};

/** What a value is made into. */
const SPOILT = {
  junk: () => 'junk \u0001 {',
  'a wrong MAC': (value: string) =>
    value.replaceAll(/"VtepMAC":"[^"]+"/g, '"VtepMAC":"02:00:5e:00:53:01"'),
  'an oversize value': () => 'x'.repeat(OVERSIZE_BYTES),
} as const;

function spoil(how: keyof typeof SPOILT, target: 'weft' | 'kernel'): FaultKind {
  return {
    name: `${target === 'weft' ? 'own key' : "stock node's key"}: ${how}`,
    ...KEYS,
    target,
    touches: 'target',
    loses: true,
    heldMs: [500, 5_000],
    boundMs: 5_000,
    healMs: 10_000,
    async happen(scene, { target: node, heldMs }) {
      const { key, value } = await leaseOf(scene, node);
      await scene.lab.board.write(key, SPOILT[how](value));
      await sleep(heldMs);
      await scene.lab.board.write(key, value);
      await scene.kernel.catchUp();
    },
  };
}

export const KEY_FAULTS: readonly FaultKind[] = [
  {
    // weft nodes keep a peer for a while; the stock one drops it at once, and has it again when the lab's follower sees it.
    name: 'own key deleted',
    ...KEYS,
    target: 'weft',
    touches: 'kernel',
    loses: true,
    heldMs: [0, 0],
    boundMs: 5_000,
    healMs: 10_000,
    async happen(scene, { target }) {
      const { key, value } = await leaseOf(scene, target);
      await scene.lab.board.remove(key);
      await untilIs(scene, key, value);
      await scene.kernel.catchUp();
    },
  },
  spoil('junk', 'weft'),
  spoil('a wrong MAC', 'weft'),
  spoil('an oversize value', 'weft'),
  {
    name: "stock node's key deleted",
    ...KEYS,
    target: 'kernel',
    touches: 'target',
    loses: true,
    heldMs: [500, 6_000],
    boundMs: 3_000,
    healMs: 10_000,
    async happen(scene, { heldMs }) {
      await scene.lab.board.remove(scene.kernel.leaseKey);
      await sleep(heldMs);
      await scene.kernel.publish();
    },
  },
  spoil('junk', 'kernel'),
  spoil('a wrong MAC', 'kernel'),
  {
    name: 'junk among the leases',
    ...KEYS,
    target: 'store',
    touches: 'nobody',
    loses: false,
    heldMs: [500, 4_000],
    boundMs: 0,
    healMs: 10_000,
    async happen({ lab: { board } }, { heldMs }: FaultAct) {
      const keys = Object.entries(JUNK_KEYS);
      await Promise.all(keys.map(([key, value]) => board.write(key, value)));
      await sleep(heldMs);
      await Promise.all(keys.map(([key]) => board.remove(key)));
    },
  },
];

async function leaseOf(scene: Scene, node: number): Promise<{ key: string; value: string }> {
  const address = scene.lab.nodes[node]?.underlay.address4;
  for (const [key, value] of await scene.lab.board.read())
    if (value.includes(`"${address}"`)) return { key, value };
  throw new Error(`no lease of ${address} in the store`);
}

const PUT_BACK_MS = 30_000;

async function untilIs(scene: Scene, key: string, value: string): Promise<void> {
  const deadline = Date.now() + PUT_BACK_MS;
  while ((await scene.lab.board.read()).get(key) !== value) {
    if (Date.now() > deadline) throw new Error(`${key} was not put back as it was`);
    await sleep(50);
  }
}
