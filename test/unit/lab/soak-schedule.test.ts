import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ALL_FAULTS, faultNamed } from '../../../lab/soak/all-faults.ts';
import { canMeet, NODES, type Step, scheduleOf, stepText } from '../../../lab/soak/schedule.ts';

const STORES = ['etcd', 'file'] as const;
const SEEDS = Array.from({ length: 50 }, (_, seed) => seed);

function eachSchedule(check: (steps: readonly Step[], store: 'etcd' | 'file') => void): void {
  for (const seed of SEEDS)
    for (const store of STORES) check(scheduleOf({ seed, minutes: 10, store }), store);
}

describe('the schedule of a soak', () => {
  it('follows from seed, minutes and store alone', () => {
    const options = { seed: 7, minutes: 30, store: 'etcd' } as const;
    assert.deepEqual(scheduleOf(options), scheduleOf(options));
    assert.notDeepEqual(scheduleOf({ ...options, seed: 8 }), scheduleOf(options));
    assert.notDeepEqual(scheduleOf({ ...options, store: 'file' }), scheduleOf(options));
  });

  it('of more minutes begins as that of fewer', () => {
    const short = scheduleOf({ seed: 3, minutes: 2, store: 'etcd' });
    const long = scheduleOf({ seed: 3, minutes: 20, store: 'etcd' });
    assert.deepEqual(long.slice(0, short.length), short);
  });

  it('keeps a fault within its own time and targets, and leaves the store to those it is for', () => {
    eachSchedule((steps, store) => {
      for (const { fault, target, heldMs } of steps.flatMap(({ faults }) => faults)) {
        const kind = faultNamed(fault);
        assert.ok(heldMs >= kind.heldMs[0] && heldMs <= kind.heldMs[1], `${fault} ${heldMs}`);
        assert.ok((NODES[kind.target] as readonly number[]).includes(target), `${fault} ${target}`);
        assert.equal(kind.store ?? store, store, fault);
      }
    });
  });

  it('begins a step only when all that was felt of the one before is over, and ends in time', () => {
    eachSchedule((steps) => {
      for (const [i, { atMs, faults }] of steps.entries()) {
        const lengths = faults.map(({ fault, heldMs }) => heldMs + faultNamed(fault).boundMs);
        assert.ok((steps[i + 1]?.atMs ?? 600_000) >= atMs + Math.max(...lengths) + 2_000);
      }
    });
  });

  it('does one fault at a time, sometimes two that do not undo each other', () => {
    const sizes = new Set<number>();
    eachSchedule((steps) => {
      for (const { faults } of steps) {
        sizes.add(faults.length);
        const [first, second] = faults.map(({ fault }) => faultNamed(fault));
        if (first && second) assert.ok(canMeet(first, second), `${first.name}, ${second.name}`);
      }
    });
    assert.deepEqual([...sizes].sort(), [1, 2]);
  });

  it('lets nothing that needs the store meet a fault of the store', () => {
    const [killed, restarted, deleted] = ['etcd killed', 'daemon restarted', 'device deleted'].map(
      faultNamed,
    ) as [
      ReturnType<typeof faultNamed>,
      ReturnType<typeof faultNamed>,
      ReturnType<typeof faultNamed>,
    ];
    assert.equal(canMeet(killed, restarted), false);
    assert.equal(canMeet(restarted, killed), false);
    assert.equal(canMeet(killed, deleted), true);
  });

  it('has every fault in an hour, whatever the seed', () => {
    for (const seed of SEEDS)
      for (const store of STORES) {
        const steps = scheduleOf({ seed, minutes: 60, store });
        const done = new Set(steps.flatMap(({ faults }) => faults).map(({ fault }) => fault));
        const wanted = ALL_FAULTS.filter((kind) => (kind.store ?? store) === store);
        assert.equal(done.size, wanted.length, `seed ${seed}, ${store}`);
      }
  });

  it('never ends the daemon of the node whose memory is judged over the whole soak', () => {
    eachSchedule((steps) => {
      for (const { fault, target } of steps.flatMap(({ faults }) => faults))
        if (/^daemon (?:restarted|killed)$/.test(fault)) assert.notEqual(target, 2);
    });
  });

  it('names no fault twice', () => {
    assert.equal(new Set(ALL_FAULTS.map(({ name }) => name)).size, ALL_FAULTS.length);
  });

  it('reads as a line', () => {
    const faults = [
      { fault: 'etcd frozen', target: -1, heldMs: 3_200 },
      { fault: 'device down', target: 1, heldMs: 0 },
    ];
    assert.equal(stepText({ atMs: 0, faults }), 'etcd frozen for 3.2 s, and device down on n2');
  });
});
