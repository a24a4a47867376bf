/** Mutated real frames through the whole worker, native code under the sanitizers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runSanitized } from '../support/sanitized.ts';

for (const seed of [1, 20261123]) {
  test(`60,000 mutated packets each way, sanitizers on, seed ${seed}: no crash, each counted once`, async () => {
    const { code, output } = await runSanitized('fuzz', ['60000', `${seed}`]);
    assert.equal(code, 0, output);
    assert.match(output, /vxlan IPv4: \d+ in/);
  });
}
