/** The hot path allocates nothing: over a million packets leave the heap where it was, with collection out of the way. */
import assert from 'node:assert/strict';
import { needs } from '../support/needs.ts';
import { runProgram } from '../support/sanitized.ts';

const { test } = needs();

/** One boxed number per packet would be 16 MB; what V8 makes for itself meanwhile (late compilation, seen: 0.1 to 0.45 MB) is far below this. */
const NOISE_BYTES = 1024 * 1024;

test('a million packets leave the heap where it was', async () => {
  const node = ['--expose-gc', '--min-semi-space-size=128', '--max-semi-space-size=128'];
  const { code, output } = await runProgram('allocation', [], node);
  assert.equal(code, 0, output);
  const { packets, heapBytes } = JSON.parse(output) as { packets: number; heapBytes: number };
  assert.ok(packets > 1_000_000, output);
  assert.ok(Math.abs(heapBytes) < NOISE_BYTES, output);
});
