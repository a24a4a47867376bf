/** `weft bench` between two real nodes, on paths whose MTU fits and does not fit. */
import assert from 'node:assert/strict';
import { Lab } from '../../lab/lab.ts';
import type { LabProcess } from '../../lab/process.ts';
import { projectBinary } from '../../lab/root.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { needs } from '../support/needs.ts';

const { after, before, describe, it } = needs('root');

const WEFT = { kind: 'weft' } as const;

interface Json {
  peer: { underlay: string; overlay: string };
  tcpToMbitPerS: Record<'underlay' | 'overlay', { median: number }>;
  tcpFromMbitPerS: Record<'underlay' | 'overlay', { median: number }>;
  udpRoundTripP50Us: { ratio: number };
  largestUdpPayload: Record<'underlay' | 'overlay', object>;
  mtu: { pods: number; fits: boolean; text: string };
}

function weftBench(node: WeftNode, ...words: string[]): [string, string[]] {
  return [
    process.execPath,
    [projectBinary('weft'), 'bench', `--admin-socket=${node.adminSocket}`, ...words],
  ];
}

describe('netns: weft bench', () => {
  let lab: Lab;
  let near: WeftNode;
  let far: WeftNode;
  let server: LabProcess;
  let token: string;
  before(async () => {
    lab = await Lab.build({
      nodes: [WEFT, WEFT],
      families: [4, 6],
      backendOptions: { MTU: 1500 }, // fixed, or the daemon would follow the underlay's
    });
    [near, far] = lab.weftNodes as [WeftNode, WeftNode];
    server = far.namespace.spawn(...weftBench(far, '--serve', '--for=200'));
    token = (await server.waitForOutput(/--token ([0-9a-f]{32})/))[1] as string;
  });
  after(() => lab?.close());

  const bench = (...words: string[]) =>
    near.namespace.exec(...weftBench(near, '--json', '--seconds=0.3', ...words), {
      timeoutMs: 60_000,
      allowFailure: true,
    });

  it('refuses a wrong token and goes on', async () => {
    const { code, stderr } = await bench(far.underlay.address4, '--token=wrong');
    assert.equal(code, 1);
    assert.match(stderr, /wrong token/);
  });

  for (const family of [4, 6] as const) {
    it(`measures both paths and finds that the MTU fits, IPv${family}`, async () => {
      const underlay = family === 4 ? far.underlay.address4 : far.underlay.address6;
      const { code, stdout, stderr } = await bench(
        lab.pod(1).address(family),
        `--token=${token}`,
        `--family=${family}`,
      );
      assert.equal(code, 0, `${stdout}${stderr}`);
      const result = JSON.parse(stdout) as Json;
      assert.equal(result.peer.underlay, underlay);
      for (const rates of [result.tcpToMbitPerS, result.tcpFromMbitPerS])
        assert.ok(rates.underlay.median > 0 && rates.overlay.median > 0, stdout);
      assert.ok(result.udpRoundTripP50Us.ratio > 0);
      const payloads =
        family === 4 ? { underlay: 1472, overlay: 1422 } : { underlay: 1452, overlay: 1382 };
      for (const path of ['underlay', 'overlay'] as const) {
        const both = { payloadBytes: payloads[path] };
        assert.deepEqual(result.largestUdpPayload[path], { to: both, from: both });
      }
      assert.deepEqual([result.mtu.pods, result.mtu.fits], [1430, true]);
      assert.doesNotMatch(stderr, /warning/i);
      assert.match(stderr, /^\[1\/20\] round 1: TCP to the peer, underlay$/m);
    });
  }

  it('says what to set when the underlay carries less than pods are told, and exits with 1', async () => {
    for (const { namespace } of [near, far])
      await namespace.ip('link', 'set', 'eth0', 'mtu', '1400');
    const { code, stdout, stderr } = await bench(far.underlay.address4, `--token=${token}`);
    assert.equal(code, 1, stderr);
    const { mtu } = JSON.parse(stdout) as Json;
    assert.equal(mtu.fits, false);
    const said =
      /pods get MTU 1430.* 1480 .* only 1400 both ways: .* in fragments; .*Backend\.MTU.* 1400,/;
    assert.match(mtu.text, said);
  });

  it('the server ends by a signal with exit code 0', async () => {
    server.signal('SIGINT');
    await server.waitForEnd(5_000);
    assert.equal(server.exit, 'exit code 0', server.output);
    assert.match(
      server.output,
      /a test from 10\.99\.0\.1 begins\nthe test from 10\.99\.0\.1 is over/,
    );
  });
});
