/**
 * weft in a pod: weft-keeper runs beside it, and what stands for kubelet starts weftd again some seconds after its end, through
 * `weft-keeper run`. Two nodes in namespaces, numbered datagrams both ways.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lab } from '../../lab/lab.ts';
import { NumberedStream } from '../../lab/numbered-udp.ts';
import { queuePackets } from '../../src/host/device.ts';
import { LINK, type Link, parseIpJson } from '../../src/host/ip-json.ts';
import { KeptDaemon } from '../support/kept-daemon.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const WORKERS = 2;
/** A TUN queue and a socket for each worker, and again for its bulk flows. */
const DESCRIPTORS = 4 * WORKERS;
const PER_SECOND = 1_000;
/** 10 ms worth of packets. */
const LOST_MAX = PER_SECOND / 100;
/** Packets that a worker has in its hands at a time. */
const BATCH = 64;
/** Between the end of a container and the start of the next one. */
const GAP_MS = 3_000;
/** As a kubelet may take; longer than the queues of a host whose service manager starts the next one at once hold. */
const LONG_GAP_MS = 12_000;

describe('netns: weftd in a pod, with weft-keeper', () => {
  let lab: Lab;
  let daemon: KeptDaemon;
  const device = async (): Promise<Link> => {
    const node = lab.nodes[0];
    assert.ok(node);
    const { stdout } = await node.namespace.ip('-j', '-d', 'link', 'show');
    const found = parseIpJson(LINK, stdout, 'link').find(({ ifname }) => ifname === 'flannel.1');
    assert.ok(found, 'the device is there');
    return found;
  };

  /** Packets that found the queue full. */
  const droppedByDevice = async (): Promise<number> => {
    const file = '/sys/class/net/flannel.1/statistics/tx_dropped';
    const answer = await lab.nodes[0]?.namespace.exec('cat', [file]);
    return Number(answer?.stdout);
  };

  /** Of the overlay's sockets, bytes. */
  const receiveBuffers = async (): Promise<string[]> => {
    const answer = await lab.nodes[0]?.namespace.exec('ss', ['-ulnmH', 'sport = :8472']);
    return [...(answer?.stdout ?? '').matchAll(/\brb(\d+)/g)].map(([, bytes = '']) => bytes);
  };

  before(async () => {
    lab = await Lab.build({ nodes: [{ kind: 'weft' }, { kind: 'weft' }], workers: WORKERS });
    const [node] = lab.weftNodes;
    assert.ok(node);
    await node.stop();
    daemon = await KeptDaemon.start(lab, node, { gapMs: GAP_MS, manager: 'kubelet' });
    await lab.waitForPeers();
  });
  after(async () => {
    await daemon?.stop();
    await lab?.close();
  });

  /** Numbered streams both ways while `disturb` runs; says what got lost. */
  async function underTraffic(name: string, disturb: () => Promise<void>): Promise<void> {
    const before = await device();
    const dropped = await droppedByDevice();
    const out = await NumberedStream.start(lab.pod(0), lab.pod(1), { perSecond: PER_SECOND });
    const back = await NumberedStream.start(lab.pod(1), lab.pod(0), {
      perSecond: PER_SECOND,
      port: 7004,
    });
    await sleep(300);
    await disturb();
    const results = { out: await out.stop(), back: await back.stop() };
    console.log(`${name}: ${JSON.stringify(results)}`);
    const full = (await droppedByDevice()) - dropped;
    for (const [way, { sent, repeated }] of Object.entries(results)) {
      assert.ok(sent > PER_SECOND, `${way}: the stream ran`);
      assert.equal(repeated, 0, way);
    }
    assert.ok(results.back.lost <= LOST_MAX, `back: lost ${results.back.lost}`);
    // A queue holds seconds of it: a start takes that long only on a machine that is far too busy; batches are full there too.
    const isLate = results.out.longestGapMs > ((before.txqlen ?? 0) / PER_SECOND) * 750;
    const allowed = full + (isLate ? BATCH : LOST_MAX);
    assert.ok(results.out.lost <= allowed, `out: lost ${results.out.lost}`);
    assert.ok(full === 0 || isLate, `${full} found no room in the queue`);
    assert.equal((await device()).ifindex, before.ifindex, 'the device stayed');
    assert.equal(daemon.last.inherited, DESCRIPTORS);
  }

  it('an upgrade: SIGTERM, and the next one 3 s later, loses at most 10 ms worth of packets', () =>
    underTraffic('upgrade', () => daemon.restart()));

  it('so does one whose replacement takes as long as a kubelet may take', async () => {
    assert.equal((await device()).txqlen, queuePackets(WORKERS, 'a new pod'));
    const usual = await receiveBuffers();
    assert.equal(usual.length, 2 * WORKERS);
    daemon.gapMs = LONG_GAP_MS;
    await underTraffic('a long gap', () => daemon.restart()).finally(() => {
      daemon.gapMs = GAP_MS;
    });
    // Wider until it was read.
    await until('sockets are as ever', async () => `${await receiveBuffers()}` === `${usual}`);
  });

  it('so does SIGKILL', () => underTraffic('SIGKILL', () => daemon.kill()));

  it('a keeper that was started anew gets everything again', async () => {
    await daemon.replaceKeeper();
    await until('all is kept', () => daemon.keptSinceListening() === DESCRIPTORS);
    await underTraffic('upgrade after the keeper was killed', () => daemon.restart());
  });

  it('so does one that was not there when weftd started', async () => {
    await daemon.endKeeper();
    await daemon.restart();
    await daemon.replaceKeeper();
    await until('all is kept', () => daemon.keptSinceListening() === DESCRIPTORS);
    await underTraffic('upgrade after a start without a keeper', () => daemon.restart());
  });

  it('a second weftd beside it is refused before it starts', async () => {
    const { code, stderr } = await daemon.runBeside('true');
    assert.equal(code, 75, stderr);
    assert.match(stderr, /holds is in use by another process/);
  });

  it('weft is gone for longer than it is held: the device goes, also after SIGKILL', async () => {
    await daemon.replaceKeeper('--hold=1s');
    await until('all is kept', () => daemon.keptSinceListening() === DESCRIPTORS);
    await daemon.end('SIGKILL');
    await until(
      'it lets go',
      () => daemon.count(new RegExp(`let go of ${DESCRIPTORS}: nobody came for them`)) === 1,
    );
    await assert.rejects(device(), /the device is there/);
  });
});
