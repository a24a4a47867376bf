import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  failedPairs,
  offloadRatio,
  renderComparison,
  renderJson,
  renderPicture,
  renderTable,
  renderVerdict,
} from '../../../lab/demo/demo-report.ts';

const NAMES = { from: 'n1', to: 'n2' };
const GOOD = {
  ...NAMES,
  ...{ sent: 10, lost: 0, lossPct: 0, againLost: null, rttMsP50: 0.1234, tcpGbps: 8.5 },
};
/** one ping was lost, and none when it was asked again */
const HICCUP = { ...GOOD, to: 'n3', lost: 1, lossPct: 10, againLost: 0 };
const LOSSY = { ...HICCUP, againLost: 2 };
const SILENT = {
  ...{ ...GOOD, to: 'n4', lost: 10, lossPct: 100, againLost: 10 },
  ...{ rttMsP50: null, tcpGbps: null },
};
const COMPARISON = { from: 'n1', to: 'n2', fullGbps: 9, offGbps: 0.9 };

describe('demo report', () => {
  it('a pair fails when it loses pings twice, or when TCP does not get through', () => {
    assert.deepEqual(failedPairs([GOOD, HICCUP]), []);
    assert.deepEqual(failedPairs([GOOD, LOSSY, SILENT]), [LOSSY, SILENT]);
    assert.equal(failedPairs([{ ...GOOD, tcpGbps: null }]).length, 1);
  });

  it('ends with which pairs failed, or that all talk', () => {
    assert.equal(renderVerdict([GOOD, GOOD], ''), 'all 2 pairs talk');
    assert.equal(
      renderVerdict([GOOD, HICCUP], ''),
      'all 2 pairs talk; n1→n3 lost 1 of 10 pings (asked again: 0 of 10)',
    );
    assert.equal(
      renderVerdict([GOOD, LOSSY, SILENT], ''),
      'FAILED: n1→n3 lost 1 of 10 pings (asked again: 2 of 10); n1→n4 lost 10 of 10 pings (asked again: 10 of 10), TCP failed',
    );
    assert.equal(renderVerdict([{ ...GOOD, tcpGbps: null }], ''), 'FAILED: n1→n2, TCP failed');
    assert.equal(renderVerdict([GOOD], 'no such node'), 'FAILED: no such node');
    assert.match(renderVerdict([], ''), /^FAILED/);
  });

  it('prints one JSON object on one line', () => {
    const line = renderJson(2, [GOOD], COMPARISON, true);
    assert.ok(!line.includes('\n'));
    assert.deepEqual(JSON.parse(line), {
      ...{ schemaVersion: 1, nodes: 2, pairs: [GOOD], offloadRatio: 10, failed: [], ok: true },
    });
  });

  it('gives no ratio when the offloads could not be compared', () => {
    const line = renderJson(2, [GOOD, LOSSY], undefined, false);
    const { offloadRatio: ratio, failed, ok } = JSON.parse(line);
    assert.deepEqual([ratio, failed, ok], [null, [{ from: 'n1', to: 'n3' }], false]);
    assert.equal(offloadRatio({ ...COMPARISON, offGbps: 0 }), null);
  });

  it('prints a table with aligned columns', () => {
    const lines = renderTable([GOOD, SILENT]).split('\n');
    assert.deepEqual(lines, [
      'from  to   loss   rtt p50          tcp',
      '----  --  -----  --------  -----------',
      'n1    n2    0 %  0.123 ms  8.50 Gbit/s',
      'n1    n4  100 %         -       failed',
    ]);
  });

  it('draws boxes whose lines are equally wide', () => {
    const node = {
      name: 'n1',
      kind: 'weft',
      underlay: '10.99.0.1',
      subnet: '10.244.1.0/24',
      pod: '10.244.1.2',
    };
    const picture = renderPicture(
      [node, { ...node, name: 'n2', kind: 'kernel VXLAN' }, { ...node, name: 'n3' }],
      'vxlan',
    );
    const lines = picture.split('\n');
    assert.equal(new Set(lines.map((line) => line.length)).size, 1);
    assert.match(picture, /n1: weft.*n2: kernel VXLAN/);
    assert.match(lines[0] as string, /^=+ underlay .*\(vxlan\) =+$/);
  });

  it('says how many times faster', () => {
    const text = renderComparison(COMPARISON);
    assert.match(text, /9\.00 Gbit\/s.*0\.90 Gbit\/s: 10\.0 times/);
  });
});
