import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  allWell,
  offloadRatio,
  renderComparison,
  renderJson,
  renderPicture,
  renderTable,
} from '../../../lab/demo/demo-report.ts';

const GOOD = { from: 'n1', to: 'n2', lossPct: 0, rttMsP50: 0.1234, tcpGbps: 8.5 };
const LOSSY = { ...GOOD, to: 'n3', lossPct: 10 };
const SILENT = { ...GOOD, to: 'n4', lossPct: 100, rttMsP50: null, tcpGbps: null };
const COMPARISON = { from: 'n1', to: 'n2', fullGbps: 9, offGbps: 0.9 };

describe('demo report', () => {
  it('is well only without loss and with TCP everywhere', () => {
    assert.ok(allWell([GOOD]));
    assert.ok(!allWell([]));
    assert.ok(!allWell([GOOD, LOSSY]));
    assert.ok(!allWell([{ ...GOOD, tcpGbps: null }]));
  });

  it('prints one JSON object on one line', () => {
    const line = renderJson(2, [GOOD], COMPARISON, true);
    assert.ok(!line.includes('\n'));
    assert.deepEqual(JSON.parse(line), { nodes: 2, pairs: [GOOD], offloadRatio: 10, ok: true });
  });

  it('gives no ratio when the offloads could not be compared', () => {
    const line = renderJson(2, [GOOD], undefined, false);
    assert.deepEqual(JSON.parse(line), { nodes: 2, pairs: [GOOD], offloadRatio: null, ok: false });
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
