/** Whatever the store holds: its parsers answer or refuse, and never break. */
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeData } from '../../../src/cluster/kinds/vxlan.ts';
import { parseKey } from '../../../src/cluster/lease/key.ts';
import { decodeValue } from '../../../src/cluster/lease/value.ts';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';
import { WeftError } from '../../../src/shared/errors.ts';

test('fuzz: parsers of store and config text never throw anything but WeftError', () => {
  const pieces = fc.constantFrom(
    '{',
    '}',
    '"',
    ':',
    ',',
    'Network',
    'PublicIP',
    'Backend',
    'Type',
    'vxlan',
    '10.0.0.0/16',
    '1.2.3.4',
    'null',
    '-24',
    '&',
    'fd00::',
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(pieces).map((parts) => parts.join('')),
    fc.json(),
  );
  fc.assert(
    fc.property(text, (input) => {
      parseKey(input);
      const value = decodeValue(input);
      decodeData(value?.backendData);
      try {
        parseNetworkConfig(input);
      } catch (error) {
        if (!(error instanceof WeftError)) throw error;
      }
    }),
    { numRuns: 3000 },
  );
});
