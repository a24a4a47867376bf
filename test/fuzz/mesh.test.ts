/**
 * A hostile network between whole workers, native code under the sanitizers. A failure prints its seed and the command that repeats it;
 * WEFT_FUZZ_SEED and WEFT_FUZZ_STEPS run another one, or a longer one, here.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runSanitized } from '../support/sanitized.ts';

const { WEFT_FUZZ_SEED, WEFT_FUZZ_STEPS = '300' } = process.env;
const seeds = WEFT_FUZZ_SEED === undefined ? ['1', '20261126'] : [WEFT_FUZZ_SEED];

for (const seed of seeds) {
  test(`${WEFT_FUZZ_STEPS} steps of a hostile mesh, sanitizers on, seed ${seed}: no crash, every packet accounted for`, async () => {
    const { code, output } = await runSanitized('mesh', [WEFT_FUZZ_STEPS, seed]);
    assert.equal(code, 0, output);
    assert.match(output, /^vxlan IPv4: \d+ packets/m);
    assert.match(output, /^sealed toy IPv4: \d+ packets/m);
  });
}

test('encrypted, nothing that the network damaged gets past the seal, and TCP streams arrive whole', async () => {
  const { code, output } = await runSanitized('sealed-stream', []);
  assert.equal(code, 0, output);
  assert.match(output, /^[1-9]\d* of \d+ datagrams did not open/m);
});
