/** A sealed link, with the test seal that only the sanitizer build has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runSanitized } from '../support/sanitized.ts';

test('a sealed link closes what leaves and opens what comes in; what does not open is dropped once', async () => {
  const { code, output } = await runSanitized('seal', []);
  assert.equal(code, 0, output);
  assert.match(output, /segments open to what a link in clear sends/);
  assert.match(output, /on the wire nothing is in clear/);
  assert.match(output, /a row without a session fails alone/);
  for (const link of ['vxlan IPv4', 'vxlan IPv6', 'udp IPv4'])
    assert.match(output, new RegExp(`${link}: one of five did not open, dropped once`));
});
