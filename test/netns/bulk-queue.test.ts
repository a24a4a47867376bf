/** Bulk flows in queues of their own, on real TUNs and sockets: which datagrams go where, that all arrive, and restarts. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lab } from '../../lab/lab.ts';
import { startLoads } from '../../lab/load.ts';
import type { Namespace } from '../../lab/namespace.ts';
import { NumberedStream } from '../../lab/numbered-udp.ts';
import { ping } from '../../lab/traffic.ts';
import { transferHash } from '../../lab/transfer.ts';
import { KeptDaemon } from '../support/kept-daemon.ts';
import { needs } from '../support/needs.ts';

const { after, before, describe, it } = needs('root');

const BYTES = 30 << 20;
const TIMEOUT_MS = 300_000;
const PORT = 8472;
const PER_SECOND = 500;

/** Counts what comes from the underlay, by the parity of its source port. */
class Parities {
  private readonly namespace: Namespace;

  private constructor(namespace: Namespace) {
    this.namespace = namespace;
  }

  static async of(namespace: Namespace): Promise<Parities> {
    const rule = (name: string, parity: number): string =>
      `add rule ip seen input udp dport ${PORT} udp sport & 1 == ${parity} counter name ${name}`;
    const text = [
      'add table ip seen',
      'add counter ip seen others',
      'add counter ip seen bulk',
      'add chain ip seen input { type filter hook prerouting priority -400; }',
      rule('others', 0),
      rule('bulk', 1),
    ];
    await namespace.exec('nft', ['-f', '-'], { input: `${text.join('\n')}\n` });
    return new Parities(namespace);
  }

  async read(): Promise<Record<'others' | 'bulk', { packets: number; bytes: number }>> {
    const of = async (name: string): Promise<{ packets: number; bytes: number }> => {
      const { stdout } = await this.namespace.exec('nft', ['list', 'counter', 'ip', 'seen', name]);
      const [, packets, bytes] = /packets (\d+) bytes (\d+)/.exec(stdout) ?? assert.fail(stdout);
      return { packets: Number(packets), bytes: Number(bytes) };
    };
    return { others: await of('others'), bulk: await of('bulk') };
  }
}

describe('netns: bulk flows in queues of their own, weft and weft', () => {
  let lab: Lab;
  let seen: Parities;
  before(async () => {
    lab = await Lab.build({ nodes: [{ kind: 'weft' }, { kind: 'weft' }] });
    seen = await Parities.of(lab.nodes[1]?.namespace ?? assert.fail());
  });
  after(() => lab?.close());

  it('a stream comes from odd ports, pings beside it from even ones', async () => {
    await startLoads(lab, [{ from: 0, to: 1, rate: '0', congestion: 'cubic' }]);
    await sleep(1_000);
    // The kernel learns from the answer which queue a flow has; a first packet may come by any.
    await ping(lab.pod(0), lab.pod(1), { count: 1 });
    const start = await seen.read();
    const pings = await ping(lab.pod(0), lab.pod(1), { count: 20 });
    const end = await seen.read();
    assert.equal(pings.lossPct, 0);
    const bulkBytes = end.bulk.bytes - start.bulk.bytes;
    const otherBytes = end.others.bytes - start.others.bytes;
    assert.ok(
      bulkBytes > 9 * otherBytes,
      `${bulkBytes} bytes from odd ports, ${otherBytes} from even`,
    );
    assert.ok(end.others.packets - start.others.packets >= 20);
  });

  it('beside it, what is sent both ways arrives as it was', async () => {
    for (const [from, to] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const whole = await transferHash(lab.pod(from), lab.pod(to), BYTES, {
        timeoutMs: TIMEOUT_MS,
      });
      assert.ok(whole.equal);
    }
  });
});

describe('netns: bulk flows in queues of their own, two workers, both families, a kernel node', () => {
  let lab: Lab;
  before(async () => {
    const nodes = [{ kind: 'weft' }, { kind: 'kernel' }, { kind: 'weft' }] as const;
    const families = [4, 6] as const;
    lab = await Lab.build({ nodes: [...nodes], families: [...families], workers: 2 });
  });
  after(() => lab?.close());

  for (const family of [4, 6] as const)
    it(`each sends to each, IPv${family}`, async () => {
      for (let from = 0; from < 3; from++)
        for (let to = 0; to < 3; to++) {
          if (from === to) continue;
          const options = { family, timeoutMs: TIMEOUT_MS };
          const whole = await transferHash(lab.pod(from), lab.pod(to), BYTES, options);
          assert.ok(whole.equal, `${from} to ${to}`);
          assert.equal((await ping(lab.pod(from), lab.pod(to), { count: 5, family })).lossPct, 0);
        }
    });
});

describe('netns: bulk flows in queues of their own, a daemon that is killed', () => {
  let lab: Lab;
  let daemon: KeptDaemon;
  before(async () => {
    lab = await Lab.build({ nodes: [{ kind: 'weft' }, { kind: 'weft' }] });
    const node = lab.weftNodes[0] ?? assert.fail();
    await node.stop();
    daemon = await KeptDaemon.start(lab, node);
    await lab.waitForPeers();
  });
  after(() => lab?.close());

  it('its successor has all four descriptors, and nothing is lost or comes twice', async () => {
    const out = await NumberedStream.start(lab.pod(0), lab.pod(1), { perSecond: PER_SECOND });
    const back = await NumberedStream.start(lab.pod(1), lab.pod(0), {
      perSecond: PER_SECOND,
      port: 7004,
    });
    const transfer = transferHash(lab.pod(1), lab.pod(0), 200 << 20, { timeoutMs: TIMEOUT_MS });
    await sleep(300);
    await daemon.kill();
    assert.ok((await transfer).equal);
    assert.equal(daemon.last.inherited, 4);
    for (const stream of [out, back]) {
      const { sent, lost, repeated } = await stream.stop();
      assert.ok(sent > PER_SECOND / 2);
      assert.ok(lost <= PER_SECOND / 100, `lost ${lost} of ${sent}`);
      assert.equal(repeated, 0);
    }
  });

  it('without it, what does not fit is closed', async () => {
    await daemon.restart('--offload=auto,-bulkQueue');
    assert.equal((await ping(lab.pod(0), lab.pod(1), { count: 20 })).lossPct, 0);
    await daemon.restart();
    assert.equal(daemon.last.inherited, 2);
    assert.equal((await ping(lab.pod(0), lab.pod(1), { count: 20 })).lossPct, 0);
  });
});
