/**
 * Bulk TCP and somebody who waits behind it, on real kernels: the bulk flows are told, and nobody's bytes change. Needs a kernel that drops
 * at a full TUN, as those up to 6.18 do: one that holds the sender up leaves nothing to tell.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lab, type LabDescription } from '../../lab/lab.ts';
import { startLoads } from '../../lab/load.ts';
import { transferHash } from '../../lab/transfer.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { needs } from '../support/needs.ts';

const { after, before, describe, it } = needs('root');

interface Status {
  counters: Record<string, number>;
  drops: { outbound: Record<string, number>; inbound: Record<string, number> };
}

const BYTES = 5_000_000;
const STREAMS = 4;
/** A bound for a machine that does other things as well; a second is usual. */
const TELL_MS = 120_000;
const WEFT = { kind: 'weft' } as const;
const KERNEL = { kind: 'kernel' } as const;

async function lost(nodes: readonly WeftNode[]): Promise<number> {
  const all = (await Promise.all(nodes.map((node) => node.status()))) as Status[];
  const of = ({ outbound, inbound }: Status['drops']): number =>
    (outbound['outStandingQueue'] ?? 0) + (inbound['inStandingQueue'] ?? 0);
  return all.reduce((sum, { drops }) => sum + of(drops), 0);
}

async function marked(nodes: readonly WeftNode[]): Promise<number> {
  const all = (await Promise.all(nodes.map((node) => node.status()))) as Status[];
  return all.reduce((sum, { counters }) => sum + (counters['congestionMarks'] ?? 0), 0);
}

async function untilTold(count: () => Promise<number>): Promise<number> {
  const deadline = Date.now() + TELL_MS;
  for (;;) {
    const found = await count();
    if (found > 0 || Date.now() > deadline) return found;
    await sleep(200);
  }
}

const cases: { name: string; lab: LabDescription; ecn: boolean }[] = [
  { name: 'weft and weft', lab: { nodes: [WEFT, WEFT] }, ecn: false },
  { name: 'weft and weft, senders that know ECN', lab: { nodes: [WEFT, WEFT] }, ecn: true },
  {
    name: 'weft and kernel VXLAN, a link without offloads',
    lab: { nodes: [WEFT, KERNEL], underlayOffloads: 'wire' },
    ecn: false,
  },
];

for (const { name, lab: description, ecn } of cases) {
  describe(`netns: a queue that bulk TCP keeps full, ${name}`, () => {
    let lab: Lab;
    let start: { lost: number; marked: number };
    before(async () => {
      // Where bulk flows have a queue of their own nobody waits behind them, and they are not told.
      lab = await Lab.build({ ...description, offload: 'auto,-bulkQueue' });
      for (const { namespace } of lab.pods)
        await namespace.sysctl({ 'net/ipv4/tcp_ecn': ecn ? 1 : 0 });
      const load = { from: 0, to: 1, rate: '0', congestion: 'cubic' };
      await startLoads(lab, Array<typeof load>(STREAMS).fill(load));
      // Connections have been made, with small packets; for the queues that is over.
      await sleep(4_000);
      start = { lost: await lost(lab.weftNodes), marked: await marked(lab.weftNodes) };
    });
    after(() => lab?.close());

    it('among themselves bulk flows are left alone', async () => {
      await sleep(2_000);
      assert.equal(await lost(lab.weftNodes), start.lost);
      assert.equal(await marked(lab.weftNodes), start.marked);
    });

    it(`once somebody waits they are told, by ${ecn ? 'marks' : 'single losses'}`, async () => {
      const address = lab.pod(1).address(4);
      const pings = lab.pod(0).namespace.spawn('ping', ['-q', '-i', '0.01', address]);
      try {
        if (ecn) {
          const told = await untilTold(async () => (await marked(lab.weftNodes)) - start.marked);
          assert.ok(told > 0, 'no mark');
          // What is sent again does not carry ECN: now and then a sign meets such a packet.
          const losses = (await lost(lab.weftNodes)) - start.lost;
          assert.ok(losses < (await marked(lab.weftNodes)), `${losses} losses`);
        } else {
          const told = await untilTold(async () => (await lost(lab.weftNodes)) - start.lost);
          assert.ok(told > 0, 'nothing lost');
          assert.equal(await marked(lab.weftNodes), start.marked);
        }
        const whole = await transferHash(lab.pod(0), lab.pod(1), BYTES, { timeoutMs: TELL_MS });
        assert.ok(whole.equal, 'what is lost is sent again, and nothing is changed');
      } finally {
        await pings.kill();
      }
    });
  });
}
