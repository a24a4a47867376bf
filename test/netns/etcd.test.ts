/** Real daemons and a stock kernel node on a real etcd: what happens to etcd must not happen to traffic. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ETCD_PREFIX, Lab } from '../../lab/lab.ts';
import { projectBinary } from '../../lab/root.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';
import { healthPage, statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';
import { withoutLoss as loseNothing, type PodPair } from '../support/without-loss.ts';

const { after, before, describe, it } = needs('root');

const HEALTH_PORT = 8081;
/** The first two nodes are weft's, the third is stock. */
const WEFT_PAIRS: readonly PodPair[] = [
  [0, 1],
  [1, 0],
];
const ALL_PAIRS: readonly PodPair[] = [...WEFT_PAIRS, [0, 2], [2, 1]];

describe('netns: etcd', () => {
  let lab: Lab;
  const node = (i: number): WeftNode => lab.weftNodes[i] as WeftNode;
  const etcd = () => {
    assert.ok(lab.etcd);
    return lab.etcd;
  };
  const ctl = () => etcd().ctl();
  const subnets = () => ctl().getPrefix(`${ETCD_PREFIX}/subnets/`);
  const keyOf = async (i: number): Promise<string> =>
    `${ETCD_PREFIX}/subnets/${(await statusOf(node(i))).lease.key}`;
  const storeIs = (ok: boolean) =>
    until(`the store is ${ok ? 'back' : 'away'}`, async () => {
      return (await statusOf(node(0))).store.ok === ok;
    });
  const withoutLoss = (happen: () => Promise<void>, pairs = ALL_PAIRS): Promise<void> =>
    loseNothing(lab, pairs, happen);

  before(async () => {
    process.env['WEFT_FAULTS'] = '1';
    const weft = { kind: 'weft' } as const;
    lab = await Lab.build({
      nodes: [weft, weft, { kind: 'kernel' }],
      store: 'etcd',
      flags: [`--healthz-port=${HEALTH_PORT}`],
    });
  });
  after(() => lab?.close());

  it('VX-1 a stock node with a hand-written lease is a full peer; keys and values are as flanneld writes them', async () => {
    const keys = await subnets();
    assert.equal(keys.length, 3);
    for (const { key, value, lease } of keys) {
      assert.match(key, /\/subnets\/10\.244\.\d+\.0-24$/);
      assert.match(
        value,
        /^\{"PublicIP":"10\.99\.0\.\d","PublicIPv6":null,"BackendType":"vxlan","BackendData":\{"VNI":1,"VtepMAC":"[0-9a-f:]{17}"\}\}$/,
      );
      const { leftS, grantedS } = await ctl().timeToLive(lease);
      assert.equal(grantedS, 86_400);
      assert.ok(leftS > 86_300);
    }
    await withoutLoss(() => sleep(500));
  });

  it('HZ-1 /healthz and /readyz with the bodies of flannel', async () => {
    assert.deepEqual(await healthPage(node(0), HEALTH_PORT, '/healthz'), {
      status: 200,
      body: 'flanneld is running\n',
    });
    assert.deepEqual(await healthPage(node(0), HEALTH_PORT, '/readyz'), {
      status: 200,
      body: 'flanneld is ready\n',
    });
    assert.equal((await healthPage(node(0), HEALTH_PORT, '/metricz')).status, 404);
  });

  it('REN-2 etcd killed: forwarding and readiness go on; started again, peers converge', async () => {
    await withoutLoss(async () => {
      await etcd().kill();
      await storeIs(false);
      await sleep(10_000);
      assert.equal((await healthPage(node(0), HEALTH_PORT, '/readyz')).status, 200);
      await etcd().start();
      await etcd().waitUntilServing();
      await storeIs(true);
    });
    assert.equal((await statusOf(node(0))).peers.total, 2);
  });

  it('etcd frozen: noticed by time-outs, nothing lost, thawed it serves again', async () => {
    await withoutLoss(async () => {
      etcd().pause();
      await storeIs(false);
      etcd().resume();
      await storeIs(true);
    });
  });

  it('etcd cut off: noticed, nothing lost, joined again it serves', async () => {
    await withoutLoss(async () => {
      await lab.linkStore('down');
      await storeIs(false);
      await lab.linkStore('up');
      await storeIs(true);
    });
  });

  it('WAT-2 compaction and junk under load do nothing to traffic', async () => {
    await withoutLoss(async () => {
      for (let i = 0; i < 5; i++) {
        await ctl().put(`${ETCD_PREFIX}/subnets/junk-${i}`, 'junk');
        await ctl().put(`${ETCD_PREFIX}/subnets/10.244.250.${i}-24`, '{"PublicIP":7}');
        await ctl().compact();
      }
    });
    assert.equal((await statusOf(node(0))).peers.total, 2);
    await ctl().delete(`${ETCD_PREFIX}/subnets/junk`, '--prefix');
    await ctl().delete(`${ETCD_PREFIX}/subnets/10.244.250`, '--prefix');
  });

  it('REV-1 own key deleted: the same subnet comes back with the same bytes', async () => {
    const key = await keyOf(0);
    const before = await ctl().get(key);
    // A stock node has no route to us for as long as it is gone.
    const happen = async (): Promise<void> => {
      await ctl().delete(key);
      await until('the key is back', async () => (await ctl().get(key)) !== undefined);
    };
    await withoutLoss(happen, [
      [0, 1],
      [1, 0],
    ]);
    assert.equal((await ctl().get(key))?.value, before?.value);
    await until('held', async () => (await statusOf(node(0))).lease.state === 'held');
  });

  it('A-22 a foreign value in our key is an alarm: not ready, forwarding goes on', async () => {
    const key = await keyOf(0);
    const { value = '', lease } = (await ctl().get(key)) ?? {};
    await ctl().put(key, value.replace('10.99.0.1', '10.99.0.77'));
    await until('noticed', async () => (await statusOf(node(0))).lease.state === 'taken');
    const { status, body } = await healthPage(node(0), HEALTH_PORT, '/readyz');
    assert.equal(status, 503);
    assert.match(body, /another node uses our subnet/);
    await ctl().put(key, value, lease);
    await until('held again', async () => (await statusOf(node(0))).lease.state === 'held');
    await lab.waitForPeers();
  });

  it('etcd wiped and restored: running traffic is not cut, nodes put their keys back', async () => {
    const config = await ctl().get(`${ETCD_PREFIX}/config`);
    const kernel = lab.kernelNodes[0];
    await withoutLoss(async () => {
      await etcd().wipe();
      await etcd().start();
      await etcd().waitUntilServing();
      await until('both daemons put their keys back', async () => (await subnets()).length === 2);
      await until("only the stock node's peer is held", async () => {
        return (await statusOf(node(0))).peers.held === 1;
      });
    }, WEFT_PAIRS); // a stock node removes its peers at once
    await ctl().put(`${ETCD_PREFIX}/config`, config?.value ?? '');
    await kernel?.publish();
    await until('nobody is held', async () => {
      const { peers } = await statusOf(node(0));
      return peers.held === 0 && peers.total === 2;
    });
  });

  it('VX-4, VX-5 a stock peer with a new MAC, gone, and back', async () => {
    const kernel = lab.kernelNodes[0];
    assert.ok(kernel);
    await kernel.changeMac();
    await lab.waitForPeers();
    await lab.board.remove(kernel.leaseKey);
    await until('one peer less', async () => (await statusOf(node(0))).peers.total === 1);
    await kernel.publish();
    await lab.waitForPeers();
  });

  it('200 nodes come, change and go while pods talk; in the end the table is what etcd says', async () => {
    const program = path.join(projectRoot(), 'dist/test/support/programs/churn.js');
    await withoutLoss(async () => {
      const args = [program, etcd().endpoint, '200'];
      const { stdout } = await node(1).namespace.exec(process.execPath, args, {
        timeoutMs: 60_000,
      });
      assert.deepEqual(JSON.parse(stdout), { taken: 200, changed: 600, returned: 200 });
    });
    // 200 leases that go at once look like a wiped store: the guard keeps their peers for now.
    await until('the others are only held', async () => {
      const { peers } = await statusOf(node(0));
      return peers.total - peers.held === 2;
    });
    await lab.waitForPeers();
  });

  it('CFG-8 no config, then a bad one, then a good one: the daemon waits and goes on; etcd may be away at its start', async () => {
    const config = await ctl().get(`${ETCD_PREFIX}/config`);
    await node(0).stop();
    await ctl().delete(`${ETCD_PREFIX}/config`);
    await etcd().kill();
    rmSync(path.join(node(0).stateDir, 'memory.json')); // else it would start from that
    const started = node(0).start();
    started.catch(() => undefined);
    const says = (pattern: RegExp) =>
      until(String(pattern), () => pattern.test(node(0).log.slice(mark)));
    const mark = node(0).log.length;
    await says(/ERR|store etcd.*check --etcd-endpoints/);
    assert.equal((await healthPage(node(0), HEALTH_PORT, '/healthz')).status, 200);
    assert.equal((await healthPage(node(0), HEALTH_PORT, '/readyz')).status, 503);
    await etcd().start();
    await etcd().waitUntilServing();
    await says(/no network config yet; write etcd key \/coreos.com\/network\/config/);
    await ctl().put(`${ETCD_PREFIX}/config`, '{"Network":"10.244.0.0/29"}');
    await says(/too small/);
    await ctl().put(`${ETCD_PREFIX}/config`, config?.value ?? '');
    await started;
    await lab.waitForPeers();
  });

  it('CFG-7 a backend that is not supported ends the daemon with exit code 1', async () => {
    const key = '/other/config';
    for (const [backend, word] of [
      ['{"Type":"wireguard"}', /not supported yet/],
      ['{}', /is unknown/],
    ] as const) {
      await ctl().put(key, `{"Network":"10.250.0.0/16","Backend":${backend}}`);
      const { code, stderr } = await node(0).namespace.exec(
        process.execPath,
        [
          projectBinary('weftd'),
          `-etcd-endpoints=${etcd().endpoint}`,
          '-etcd-prefix=/other',
          `--admin-socket=${node(0).adminSocket}.2`,
        ],
        { allowFailure: true },
      );
      assert.equal(code, 1, stderr);
      assert.match(stderr, word);
    }
  });

  it('MUL-1 a second overlay on the same hosts: other prefix, VNI, port and files', async () => {
    const config = '{"Network":"10.245.0.0/16","Backend":{"Type":"vxlan","VNI":2,"Port":8473}}';
    await ctl().put('/second/config', config);
    const files = (i: number): string => `${lab.storeDir}/second-${i}`;
    const daemons = [0, 1].map((i) =>
      node(i).namespace.spawn(process.execPath, [
        projectBinary('weftd'),
        `-etcd-endpoints=${etcd().endpoint}`,
        '-etcd-prefix=/second',
        '-iface=eth0',
        `-subnet-file=${files(i)}.env`,
        `--state-dir=${files(i)}`,
        `--admin-socket=${files(i)}.sock`,
      ]),
    );
    try {
      for (const daemon of daemons) await daemon.waitForOutput(/ready/);
      const [first, second] = [0, 1].map((i) => subnetOf(files(i))) as [string, string];
      await until('the second overlay answers', async () => {
        const args = ['-c1', '-W1', '-I', first, second];
        return (await node(0).namespace.exec('ping', args, { allowFailure: true })).code === 0;
      });
      await lab.waitForPeers();
      const { stdout } = await node(0).namespace.ip('route');
      assert.match(stdout, /10\.245\.0\.0\/16 dev flannel\.2 proto 86/);
      assert.match(stdout, /10\.244\.0\.0\/16 dev flannel\.1 proto 86/);
    } finally {
      for (const daemon of daemons) await daemon.stop();
    }
    // The first daemon's rules and routes are still there.
    await lab.waitForPeers();
  });
});

/** The device's address: the network address of the subnet. */
function subnetOf(file: string): string {
  const text = readFileSync(`${file}.env`, 'utf8');
  const gateway = /FLANNEL_SUBNET=([\d.]+)\//.exec(text)?.[1] ?? '';
  return gateway.replace(/1$/, '0');
}
