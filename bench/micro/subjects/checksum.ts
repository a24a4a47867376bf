/** RFC 1071 sums by every implementation that this CPU has, called from JavaScript (C calls them without that cost). */
import { loadAddon } from '../../../src/memory/addon.ts';
import { pattern, slowSum } from '../../../test/support/native/packets.ts';
import type { Case, Work } from '../case.ts';

const SIZES = [64, 1_500, 65_000] as const;
const IMPLEMENTATIONS = ['avx2', 'sse2', 'neon', 'portable'] as const;
/** Bytes that one call sums: small sizes are repeated. */
const BYTES_PER_CALL = 65_536;

export function checksumCases(): Case[] {
  return presentImplementations().flatMap((name) =>
    SIZES.map((size) => ({
      name: `checksum/${name}, ${size} bytes`,
      opsPerCall: Math.ceil(BYTES_PER_CALL / size),
      bytesPerOp: size,
      open: () => openChecksum(name, size),
    })),
  );
}

function presentImplementations(): string[] {
  const addon = loadAddon();
  const usual = addon.checksumName();
  const present = IMPLEMENTATIONS.filter((name) => addon.checksumSelect(name));
  addon.checksumSelect(usual);
  return present;
}

function openChecksum(name: string, size: number): Work {
  const addon = loadAddon();
  const usual = addon.checksumName();
  addon.checksumSelect(name);
  const bytes = pattern(size);
  const calls = Math.ceil(BYTES_PER_CALL / size);
  const run = (): number => {
    let sum = 0;
    for (let i = 0; i < calls; i++) sum += addon.checksum(bytes, 0, size, 0);
    return sum;
  };
  return {
    run,
    expected: slowSum(bytes) * calls,
    close: () => {
      addon.checksumSelect(usual);
    },
  };
}
