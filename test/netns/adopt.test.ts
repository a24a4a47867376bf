/** Taking over descriptors of the process before: a TUN device of its own name, sockets on the loopback. */
import assert from 'node:assert/strict';
import { run } from '../../lab/command.ts';
import { loadAddon, type UdpOptions } from '../../src/memory/addon.ts';
import { FEATURE } from '../../src/memory/layout.ts';
import { needs } from '../support/needs.ts';

const { test } = needs('root');

const addon = loadAddon();
const TSO = FEATURE.tunTso;
const device = (letter: string): string => `wt${letter}${process.pid}`.slice(0, 15);
const exists = async (name: string): Promise<boolean> =>
  (await run('ip', ['link', 'show', 'dev', name], { allowFailure: true })).code === 0;

test('a queue is taken over by its own device only, with the offloads that are wanted now', () => {
  const name = device('a');
  const { fd } = addon.openTun(name, TSO);
  assert.equal(addon.tunDevice(fd), name);
  assert.deepEqual(addon.adoptTun(fd, name, 0), { fd, features: 0 });
  assert.deepEqual(addon.adoptTun(fd, name, TSO), { fd, features: TSO });
  assert.throws(() => addon.adoptTun(fd, `${name}x`.slice(-15), TSO), { code: 'EINVAL' });
  addon.close(fd);
});

test('what is no queue is refused: a socket, an unattached and a closed descriptor, a queue whose device is gone', async () => {
  const name = device('b');
  const [one, two] = addon.openPair();
  assert.throws(() => addon.adoptTun(one, name, 0), { syscall: 'adoptTun' });
  assert.equal(addon.tunDevice(one), '');
  addon.close(one);
  addon.close(two);
  assert.throws(() => addon.adoptTun(one, name, 0), { code: 'EBADF' });
  const { fd } = addon.openTun(name, 0);
  await run('ip', ['link', 'delete', 'dev', name]);
  assert.throws(() => addon.adoptTun(fd, name, 0), { code: 'EBADFD' });
  addon.close(fd);
});

test('a persistent device outlives its last queue, is attached again, and goes when it is no longer persistent', async () => {
  const name = device('c');
  const first = addon.openTun(name, TSO);
  addon.persistTun(first.fd, true);
  addon.close(first.fd);
  assert.ok(await exists(name));
  const second = addon.openTun(name, TSO);
  addon.persistTun(second.fd, false);
  addon.close(second.fd);
  assert.ok(!(await exists(name)));
});

for (const family of [4, 6] as const) {
  test(`IPv${family}: a socket is taken over only where family, address, port and sharing are the same`, () => {
    const loopback = family === 4 ? [127, 0, 0, 1] : [...new Uint8Array(15), 1];
    const options: UdpOptions = {
      family,
      address: Uint8Array.from(loopback),
      port: 0,
      reusePort: true,
      gro: true,
      dontFragment: false,
      bufferBytes: 1 << 20,
    };
    const { fd, port } = addon.openUdp(options);
    const bound = { ...options, port };
    assert.deepEqual(addon.adoptUdp(fd, bound), { fd, port, gro: true });
    assert.deepEqual(addon.adoptUdp(fd, { ...bound, gro: false }), { fd, port, gro: false });
    const any = new Uint8Array(loopback.length);
    const other = family === 4 ? 6 : 4;
    const strange: Partial<UdpOptions>[] = [
      { port: port ^ 1 },
      { address: any },
      { reusePort: false },
      { family: other, address: new Uint8Array(other === 4 ? 4 : 16) },
    ];
    for (const change of strange) {
      assert.throws(() => addon.adoptUdp(fd, { ...bound, ...change }), { code: 'EINVAL' });
    }
    addon.close(fd);
    assert.throws(() => addon.adoptUdp(fd, bound), { code: 'EINVAL' });
  });
}

test('without a service manager nothing is sent, with or without a descriptor', () => {
  delete process.env['NOTIFY_SOCKET'];
  assert.equal(addon.notify('READY=1'), false);
  assert.equal(addon.notify('FDSTORE=1', 0), false);
  assert.throws(() => addon.notify('FDSTORE=1', -1), RangeError);
});
