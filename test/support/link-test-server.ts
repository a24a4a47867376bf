/** The far end of `weft bench` in this process, on loopback. */
import type { TestContext } from 'node:test';
import { BenchServer } from '../../src/cli/link-test/server.ts';

export const TOKEN = '0123456789abcdef0123456789abcdef';
/** Loopback has many addresses: one plays the underlay, one the overlay. */
export const UNDERLAY = '127.0.0.1';
export const OVERLAY = '127.0.0.2';

export async function startServer(
  t: TestContext,
): Promise<{ server: BenchServer; said: string[] }> {
  const said: string[] = [];
  const server = new BenchServer({
    addresses: [UNDERLAY, OVERLAY],
    port: 0,
    token: TOKEN,
    say: (text) => void said.push(text),
  });
  await server.start();
  t.after(() => server.close());
  return { server, said };
}
