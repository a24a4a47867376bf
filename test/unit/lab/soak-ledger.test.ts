/** The judge of the soak's packets must be able to fail. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Ledger } from '../../../lab/soak/ledger.ts';
import { MachineLoad } from '../../../lab/soak/machine-load.ts';
import type { TalkerReport } from '../../../lab/soak/talk.ts';
import type { Window } from '../../../lab/soak/window.ts';

const WINDOW: Window = {
  fault: 'device down',
  target: 1,
  nodes: [1],
  loses: true,
  boundMs: 1_000,
  beganMs: 10_000,
  overMs: 12_000,
};
const END = Number.POSITIVE_INFINITY;

function report(pod: number, more: Partial<TalkerReport>): TalkerReport {
  const none = { sent: [], got: [], gaps: [], repeated: 0, corrupt: 0, refused: 0 };
  return { pod, atMs: 0, lateMs: 0, ...none, ...more };
}

/** One packet from pod 0 to pod 1, or another, that never comes. */
function loseOne(ledger: Ledger, atMs: number, to = 1): string[] {
  ledger.add(report(0, { sent: [[to, 4, Math.floor(atMs / 100), 1]] }));
  return ledger.settle(END);
}

describe('the ledger of a soak', () => {
  it('finds nothing where all came, in whatever order it is told', () => {
    const ledger = new Ledger(new MachineLoad());
    ledger.add(report(1, { got: [[0, 4, 5, 2]] }));
    ledger.add(report(0, { sent: [[1, 4, 5, 2]] }));
    assert.deepEqual(ledger.settle(END), []);
    assert.deepEqual([ledger.sent, ledger.got, ledger.lost], [2, 2, 0]);
  });

  it('finds one lost packet, and says which way it went and that there was no fault', () => {
    const found = loseOne(new Ledger(new MachineLoad()), 500);
    assert.equal(found.length, 1);
    assert.match(found[0] as string, /1 packets lost in 100 ms, p1 to p2 IPv4, with no fault/);
  });

  it('does not take the packets of one way for those of another', () => {
    const ledger = new Ledger(new MachineLoad());
    ledger.add(report(0, { sent: [[1, 4, 5, 1]] }));
    ledger.add(report(1, { got: [[0, 6, 5, 1]] }));
    assert.equal(ledger.settle(END).length, 1);
  });

  it('waits with what is still under way', () => {
    const ledger = new Ledger(new MachineLoad());
    ledger.add(report(0, { sent: [[1, 4, 5, 1]] }));
    assert.deepEqual(ledger.settle(599), []);
    assert.equal(ledger.settle(600).length, 1);
  });

  it('counts in reports, not by a clock: a machine that stood still loses nothing', () => {
    const ledger = new Ledger(new MachineLoad());
    const reports = (fromMs: number, count: number): void => {
      for (const pod of [0, 1])
        for (let i = 0; i < count; i++) ledger.add(report(pod, { atMs: fromMs + i * 500 }));
    };
    ledger.add(report(0, { sent: [[1, 4, 5, 1]] }));
    reports(500, 2);
    reports(60_000, 2);
    assert.deepEqual(ledger.settle(), []);
    reports(61_000, 40);
    assert.equal(ledger.settle().length, 1);
  });

  it('waits for the talker that has told least', () => {
    const ledger = new Ledger(new MachineLoad());
    ledger.add(report(0, { sent: [[1, 4, 5, 1]] }));
    for (let i = 1; i <= 100; i++) ledger.add(report(0, { atMs: i * 500 }));
    ledger.add(report(1, { atMs: 50_000 }));
    assert.deepEqual(ledger.settle(), []);
  });

  const cases: [string, number, number, Partial<Window>, number][] = [
    ['in the window of a fault that touches it', 11_000, 1, {}, 0],
    ['within the bound', 12_900, 1, {}, 0],
    ['after the bound', 13_100, 1, {}, 1],
    ['before the fault', 9_500, 1, {}, 1],
    ['in the window of a fault that touches others', 11_000, 2, {}, 1],
    ['in the window of a fault that must lose nothing', 11_000, 1, { loses: false }, 1],
  ];
  for (const [when, atMs, to, change, problems] of cases)
    it(`a packet lost ${when} is ${problems === 0 ? 'counted' : 'a violation'}`, () => {
      const ledger = new Ledger(new MachineLoad());
      const window = { ...WINDOW, ...change };
      ledger.open(window);
      assert.equal(loseOne(ledger, atMs, to).length, problems);
      assert.equal(ledger.felt.get(window)?.lost, 1 - problems);
      assert.equal(ledger.lost, 1);
    });

  it('knows how long after its cause a fault was felt', () => {
    const ledger = new Ledger(new MachineLoad());
    ledger.open(WINDOW);
    loseOne(ledger, 12_500);
    assert.equal(ledger.felt.get(WINDOW)?.beyondMs, 600);
  });

  it('moves a bound by what the machine held up, measured at that time only', () => {
    const problems = (atMs: number, measure: (load: MachineLoad) => void): number => {
      const load = new MachineLoad();
      measure(load);
      const ledger = new Ledger(load);
      ledger.open(WINDOW);
      return loseOne(ledger, atMs).length;
    };
    assert.equal(
      problems(13_300, () => undefined),
      1,
    );
    assert.equal(
      problems(13_300, (load) => load.noteLateness(13_000, 400)),
      0,
    );
    assert.equal(
      problems(13_500, (load) => load.noteLateness(13_000, 400)),
      1,
    );
    assert.equal(
      problems(13_300, (load) => load.noteLateness(60_000, 400)),
      1,
    );
    assert.equal(
      problems(13_900, (load) => load.noteStretch(12_500, 2)),
      0,
    );
    assert.equal(
      problems(14_100, (load) => load.noteStretch(12_500, 2)),
      1,
    );
    assert.equal(
      problems(13_900, (load) => load.noteStretch(60_000, 2)),
      1,
    );
    assert.equal(
      problems(12_900, (load) => load.noteStretch(12_500, 0.5)),
      0,
      'never shorter',
    );
  });

  it('a silence is a violation where no fault explains it, or not so long', () => {
    const silent = (fromMs: number, untilMs: number, window?: Window): number => {
      const ledger = new Ledger(new MachineLoad());
      if (window) ledger.open(window);
      ledger.add(report(1, { gaps: [[0, 4, fromMs, untilMs]] }));
      return ledger.settle(END).length;
    };
    assert.equal(silent(20_000, 21_500), 1);
    assert.equal(silent(20_000, 20_900), 0, 'short');
    assert.equal(silent(10_000, 12_900, WINDOW), 0);
    assert.equal(silent(10_000, 12_900, { ...WINDOW, loses: false }), 0, 'late, not lost');
    assert.equal(silent(10_000, 13_100, WINDOW), 1);
    assert.equal(silent(10_000, 12_900, { ...WINDOW, nodes: [] }), 1);
  });

  it('damaged, repeated and refused datagrams are violations whatever happens', () => {
    for (const name of ['corrupt', 'repeated', 'refused'] as const) {
      const ledger = new Ledger(new MachineLoad());
      ledger.open({ ...WINDOW, beganMs: 0, overMs: 1e9 });
      ledger.add(report(1, { [name]: 1 }));
      assert.equal(ledger.settle(END).length, 1, name);
    }
  });

  it('explains a failed transfer only by a fault that was felt on its way meanwhile', () => {
    const ledger = new Ledger(new MachineLoad());
    ledger.open(WINDOW);
    assert.equal(ledger.explains({ from: 0, to: 1 }, 5_000, 11_000), true);
    assert.equal(ledger.explains({ from: 0, to: 2 }, 5_000, 11_000), false);
    assert.equal(ledger.explains({ from: 0, to: 1 }, 13_500, 14_000), false);
  });
});
