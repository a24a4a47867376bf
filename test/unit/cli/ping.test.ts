/** What `weft ping` and `weft topology` say, without a daemon. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Echo } from '../../../src/api/ping.ts';
import type { ReachCell, ReachNode, ReachPage } from '../../../src/api/reach.ts';
import { renderEcho, statisticsOf } from '../../../src/cli/ping/echoes.ts';
import { renderMatrix } from '../../../src/cli/ping/matrix.ts';
import { judge } from '../../../src/cli/ping/sweep.ts';
import { chooseStyle, PLAIN } from '../../../src/cli/style.ts';
import { renderDot, renderMermaid } from '../../../src/cli/topology/graph.ts';
import { topologyOf } from '../../../src/cli/topology/model.ts';
import { renderSvg } from '../../../src/cli/topology/svg.ts';
import { renderText } from '../../../src/cli/topology/text.ts';

const answered = (rttMs: number): Echo => ({ state: 'answered', rttMs, ttl: 64, payloadBytes: 56 });
const LOST: Echo = { state: 'lost' };

/** n1 is this node, the last one a stock node; `cuts` are pairs of numbers. */
function page(count: number, cuts: readonly [number, number][]): ReachPage {
  const nodes: ReachNode[] = Array.from({ length: count }, (_, i) => ({
    key: `k${i + 1}`,
    name: `n${i + 1}`,
    subnet: `10.244.${i + 1}.0/24`,
    subnets: [`10.244.${i + 1}.0/24`],
    publicIps: [`10.99.0.${i + 1}`],
    self: i === 0,
    kind: i === count - 1 ? 'other' : 'weft',
    mtu: null,
    via: null,
  }));
  const isCut = (a: ReachNode, b: ReachNode): boolean =>
    cuts.some(([from, to]) => a.key === `k${from}` && b.key === `k${to}`);
  const cells: ReachCell[] = nodes.flatMap((a) =>
    nodes
      .filter((b) => b !== a)
      .map((b) => {
        const state = a.kind === 'other' ? 'unknown' : isCut(a, b) ? 'lost' : 'ok';
        const ends = { from: a.key, to: b.key, state } as const;
        return { ...ends, rttMs: state === 'ok' ? 0.5 : null, lossRatio: 0, lostFamilies: [] };
      }),
  );
  return { nodes, cells, complete: true };
}

/** The same nodes with names, as Kubernetes gives them. */
function named(of: ReachPage): ReachPage {
  const nodes = of.nodes.map((node, i) => ({ ...node, nodeName: `worker-${i + 1}` }));
  return { ...of, nodes };
}

describe('weft ping PEER', () => {
  it('counts and times as ping(8)', () => {
    const stats = statisticsOf([answered(1), LOST, answered(3)]);
    assert.deepEqual([stats.sent, stats.received], [3, 2]);
    assert.deepEqual(stats.rttMs, { min: 1, avg: 2, max: 3, mdev: 1 });
    assert.equal(statisticsOf([LOST]).rttMs, null);
  });

  it('says each kind of end', () => {
    const say = (echo: Echo): string => renderEcho(echo, 7, '10.244.2.0', PLAIN);
    assert.equal(say(answered(0.456)), '64 bytes from 10.244.2.0: seq=7 ttl=64 time=0.46 ms');
    assert.equal(say(LOST), 'no answer from 10.244.2.0: seq=7');
    const refused = { state: 'refused', why: 'too large', mtu: 1400 } as const;
    assert.equal(say(refused), 'not delivered: seq=7 too large (the largest that passes: 1400)');
  });

  it('judges the MTU', () => {
    const facts = { backend: 'vxlan', family: 4, interface: 'eth0' } as const;
    const judged = (largest: number | null, podMtu: number, underlayMtu: number) =>
      judge(largest, { ...facts, podMtu, underlayMtu });
    assert.deepEqual(judged(1450, 1450, 1500), { fits: true, text: 'pods get MTU 1450: fits' });
    assert.match(judged(1350, 1450, 1500).text, /only 1350 bytes cross.*Backend\.MTU.* 1400,/);
    assert.match(judged(1450, 1450, 1400).text, /needs 1500 on eth0; it carries 1400.*fragments/);
    assert.equal(judged(null, 1450, 1500).fits, null);
  });
});

describe('weft ping --all', () => {
  it('names each cut and nothing else', () => {
    const text = renderMatrix(
      page(5, [
        [2, 4],
        [4, 2],
      ]),
      PLAIN,
    );
    assert.match(text, /^n2 {7}0\.50 {2}- {5}0\.50 {2}✗ {5}0\.50$/m);
    assert.match(text, /^n5 {7}· /m);
    assert.match(text, /^n5 {2}10\.99\.0\.5 .*no weftd answers there/m);
    const list = text.slice(text.indexOf('2 pairs'));
    assert.deepEqual(list.split('\n'), [
      '2 pairs without an answer, 4 pairs unknown',
      '  n2 (10.99.0.2) → n4 (10.99.0.4): no answer',
      '  n4 (10.99.0.4) → n2 (10.99.0.2): no answer',
    ]);
  });

  it('a node that nobody reaches takes one line', () => {
    const text = renderMatrix(
      page(5, [
        [1, 5],
        [2, 5],
        [3, 5],
        [4, 5],
      ]),
      PLAIN,
    );
    assert.match(text, /^4 pairs.*\n {2}n5 \(10\.99\.0\.5\): no node reaches it$/m);
    assert.doesNotMatch(text, /→/);
  });

  it('says over which family where the other one answers', () => {
    const dual = page(3, [[1, 2]]);
    const cell = dual.cells.find(({ state }) => state === 'lost') as ReachCell;
    cell.lostFamilies = [6];
    (dual.nodes[1] as ReachNode).subnets.push('fd00::/64');
    assert.match(renderMatrix(dual, PLAIN), /n1 .* → n2 .*: no answer over IPv6$/m);
  });

  it('names nodes where the store does, in the legend and in every cut', () => {
    const text = renderMatrix(named(page(3, [[1, 2]])), PLAIN);
    assert.match(text, /^ +NAME +NODE +SUBNET$/m);
    assert.match(text, /^n2 +worker-2 +10\.99\.0\.2 /m);
    assert.match(text, / {2}worker-1 \(10\.99\.0\.1\) → worker-2 \(10\.99\.0\.2\): no answer$/m);
  });

  it('gets narrow above 16 nodes and is a list above 60', () => {
    const narrow = renderMatrix(page(17, [[1, 2]]), PLAIN);
    assert.match(narrow, /^from\\to {2}1 {2}2 /m);
    assert.doesNotMatch(narrow, /0\.50/);
    const list = renderMatrix(page(61, [[1, 2]]), PLAIN);
    assert.equal(list.split('\n').length, 2);
    assert.match(renderMatrix(page(1, []), PLAIN), /no peers/);
  });
});

describe('weft topology', () => {
  const status = { backend: 'vxlan', interface: 'eth0' };
  const model = topologyOf(
    status,
    page(5, [
      [2, 4],
      [3, 1],
    ]),
  );

  it('one end without an answer is a cut link', () => {
    const states = new Map(model.links.map(({ a, b, state }) => [`${a}-${b}`, state]));
    assert.equal(states.get('n2-n4'), 'lost');
    assert.equal(states.get('n1-n3'), 'lost');
    assert.equal(states.get('n1-n2'), 'ok');
    assert.equal(model.links.length, 10);
  });

  it('is a tree in text', () => {
    const text = renderText(model, PLAIN);
    assert.match(
      text,
      /^n1 {2}10\.99\.0\.1 on eth0 {2}10\.244\.1\.0\/24 {2}vxlan, this node\n├─ n2/,
    );
    assert.match(text, /n3 .*✗ no answer/);
    assert.match(text, /cut between others:\n {3}n2 ✗ n4$/);
    assert.ok(renderText(model, chooseStyle('always', {})).includes('\u001b[31m'));
  });

  it('marks cut links for mermaid and dot', () => {
    const mermaid = renderMermaid(model).split('\n');
    assert.equal(mermaid[0], 'graph LR');
    assert.ok(mermaid.includes('  n2 -.-|no answer| n4'));
    assert.ok(mermaid.includes('  n1 ---|0.50 ms| n2'));
    assert.match(
      renderDot(model),
      /^ {2}n2 -- n4 \[label="no answer", color="#d1383d", style=dashed\];$/m,
    );
  });

  it('shows the names of nodes in every format, and in the list of cuts', () => {
    const of = topologyOf(status, named(page(3, [[2, 3]])));
    const text = renderText(of, PLAIN);
    assert.match(text, /^n1 {2}worker-1 {2}10\.99\.0\.1 on eth0/);
    assert.match(text, /^├─ n2 +worker-2 +10\.99\.0\.2 /m);
    assert.match(text, /worker-2 ✗ worker-3$/);
    assert.match(renderMermaid(of), /n2 \(weft\)<br\/>worker-2<br\/>10\.99\.0\.2/);
    assert.match(renderDot(of), /n2 \(weft\)\\nworker-2\\n/);
    assert.match(renderSvg(of), />worker-2<\/text>/);
    const [node] = of.nodes;
    assert.ok(node);
    node.nodeName = `ip-10-0-0-1.${'long'.repeat(50)}`;
    assert.match(renderSvg(of), />ip-10-0-0-1\.longlonglon…<\/text>/);
  });

  it('what a daemon says can break no format', () => {
    const hostile = structuredClone(model);
    const [first] = hostile.nodes;
    assert.ok(first);
    first.publicIp = '"]<script>alert(1)</script>&\\';
    const [mermaid, dot, svg] = [renderMermaid(hostile), renderDot(hostile), renderSvg(hostile)];
    assert.doesNotMatch(mermaid, /<script|"\]</);
    assert.doesNotMatch(svg, /<script/);
    assert.match(svg, /&quot;\]&lt;script&gt;alert\(1\)&lt;\/script&gt;&amp;\\/);
    assert.match(dot, /\\"\]<script>alert\(1\)<\/script>&\\\\/);
  });

  it('the picture holds every box, also of many nodes and of one', () => {
    for (const count of [1, 2, 5, 12, 40]) {
      const svg = renderSvg(topologyOf(status, page(count, [[1, 2]])));
      const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg) as RegExpExecArray;
      const boxes = [
        ...svg.matchAll(/<rect x="([\d.-]+)" y="([\d.-]+)" width="176" height="(\d+)"/g),
      ];
      assert.equal(boxes.length, count);
      for (const [, x, y, tall] of boxes) {
        assert.ok(Number(x) >= 0 && Number(x) + 176 <= Number(width), `${count}: ${x}`);
        assert.ok(Number(y) >= 0 && Number(y) + Number(tall) <= Number(height), `${count}: ${y}`);
      }
    }
  });
});
