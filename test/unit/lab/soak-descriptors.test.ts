/** What a process has open, by kind. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { describe, it } from 'node:test';
import { descriptorsOf, renderGrowth, total } from '../../../lab/soak/descriptors.ts';

describe('soak: descriptors', () => {
  it('names what a process opened', async () => {
    const before = descriptorsOf(process.pid);
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = connect(port, '127.0.0.1');
    const [peer] = await once(server, 'connection');
    await once(client, 'connect');
    const after = descriptorsOf(process.pid);
    const growth = renderGrowth(before, after);
    assert.match(growth, new RegExp(`tcp on ${port} \\+1`));
    assert.match(growth, new RegExp(`tcp to ${port} \\+1`));
    assert.ok(total(after) >= total(before) + 3);
    client.destroy();
    peer.destroy();
    server.close();
  });

  it('growth names what there is more of, most first', () => {
    assert.equal(renderGrowth({ pipe: 4, udp: 3 }, { pipe: 5, udp: 2, raw: 2 }), 'raw +2, pipe +1');
    assert.equal(renderGrowth({ pipe: 4 }, { pipe: 4 }), '');
  });

  it('a process that is gone throws', () => {
    assert.throws(() => descriptorsOf(2 ** 22 + 1), /ENOENT/);
  });
});
