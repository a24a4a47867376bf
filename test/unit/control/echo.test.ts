/** Echoes and their socket: who looks at it when, with the native part made up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EchoAddon, EchoSender } from '../../../src/control/reach/echo.ts';
import { parseAddress, type Words } from '../../../src/shared/address.ts';

const words = (text: string): Words => parseAddress(text) as Words;
const OPTIONS = { payloadBytes: 56, timeoutMs: 5 };

/** Nobody answers. Counts what is asked of it; `hear` is the kernel that says that something came. */
function silentAddon() {
  const counts = { looks: 0, watchAgain: 0, unwatch: 0, closed: 0 };
  const kernel = { hear: (): void => assert.fail('nothing is watched') };
  const addon: EchoAddon = {
    openEcho: () => ({ fd: 1, raw: true }),
    echoSend: () => 1,
    echoReceive: () => {
      counts.looks++;
      return 0;
    },
    watch: (_fds, call) => {
      kernel.hear = call;
      return 0;
    },
    watchAgain: () => {
      counts.watchAgain++;
    },
    unwatch: () => {
      counts.unwatch++;
    },
    close: () => {
      counts.closed++;
    },
  };
  return { addon, counts, kernel };
}

const senderOf = (addon: EchoAddon) => new EchoSender(addon, { 4: words('10.244.1.0') });

test('while nothing comes the socket is looked at once for each echo, at its end', async () => {
  const { addon, counts } = silentAddon();
  const sender = senderOf(addon);
  const echoes = await Promise.all([1, 2].map((i) => sender.send(words(`10.244.${i}.9`), OPTIONS)));
  assert.deepEqual(echoes, [{ state: 'lost' }, { state: 'lost' }]);
  assert.equal(counts.looks, 2);
  sender.close();
});

test('what comes is looked at at once, and the next only after a pause: a flood keeps nobody busy', async () => {
  const { addon, counts, kernel } = silentAddon();
  const sender = senderOf(addon);
  await sender.send(words('10.244.2.9'), OPTIONS);
  const { looks } = counts;
  kernel.hear();
  assert.equal(counts.looks, looks + 1);
  assert.equal(counts.watchAgain, 0, 'not in the same turn');
  while (counts.watchAgain === 0) await sleep(1);
  sender.close();
});

test('a socket that can not be watched is closed, and the next echo tries again', async () => {
  const { addon, counts } = silentAddon();
  const { watch } = addon;
  addon.watch = () => {
    throw new Error('watch: EAGAIN');
  };
  const sender = senderOf(addon);
  for (const closed of [1, 2]) {
    const echo = await sender.send(words('10.244.2.9'), OPTIONS);
    assert.deepEqual(echo, { state: 'refused', why: 'watch: EAGAIN', mtu: null });
    assert.equal(counts.closed, closed);
  }
  addon.watch = watch;
  assert.deepEqual(await sender.send(words('10.244.2.9'), OPTIONS), { state: 'lost' });
  sender.close();
});

test('after the end nothing is watched, looked at or sent', async () => {
  const { addon, counts, kernel } = silentAddon();
  const sender = senderOf(addon);
  const pending = sender.send(words('10.244.2.9'), { ...OPTIONS, timeoutMs: 60_000 });
  await sleep(0);
  kernel.hear();
  const { looks } = counts;
  sender.close();
  assert.deepEqual(await pending, { state: 'lost' });
  kernel.hear();
  await sleep(10);
  assert.deepEqual(counts, { looks, watchAgain: 0, unwatch: 1, closed: 1 });
  assert.deepEqual(await sender.send(words('10.244.2.9'), OPTIONS), { state: 'lost' });
});
