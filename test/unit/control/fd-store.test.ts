/** The descriptor store's book-keeping with a recorded addon: no real descriptors (those are in test/native/adopt and test/netns/restart). */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { FdStore } from '../../../src/control/manager/fd-store.ts';
import { temporaryFolder } from '../../support/folder.ts';
import { until } from '../../support/until.ts';

/** Descriptors 3 and 5 are TUN queues. */
function recordedAddon() {
  const calls: string[] = [];
  const devices: Record<number, string> = { 3: 'flannel.1', 5: 'flannel.2' };
  const addon = {
    tunDevice: (fd: number) => devices[fd] ?? '',
    persistTun: (fd: number, on: boolean) => calls.push(`persist ${fd} ${on}`),
    close: (fd: number) => calls.push(`close ${fd}`),
    notify: (state: string, fd?: number) => {
      calls.push(`${state.replaceAll('\n', ' ')}${fd === undefined ? '' : ` with ${fd}`}`);
      return true;
    },
  };
  return { addon, calls };
}

function inherit(names: string, changes: NodeJS.ProcessEnv = {}) {
  const environment: NodeJS.ProcessEnv = {
    LISTEN_PID: `${process.pid}`,
    LISTEN_FDS: `${names.split(':').length}`,
    LISTEN_FDNAMES: names,
    NOTIFY_SOCKET: '/run/systemd/notify',
    ...changes,
  };
  const recorded = recordedAddon();
  return { ...recorded, environment, store: FdStore.fromEnvironment(recorded.addon, environment) };
}

test('what the process before left is taken by name, and no child sees the variables', () => {
  const { store, environment, calls } = inherit('tun-4-0:udp-4-0');
  assert.deepEqual(Object.keys(environment), ['NOTIFY_SOCKET']);
  assert.ok(store.outlivesUs);
  assert.deepEqual([...store.devices()], ['flannel.1']);
  assert.equal(
    store.adopt('udp-4-0', (fd) => fd),
    4,
  );
  assert.equal(
    store.adopt('udp-4-0', (fd) => fd),
    undefined,
  );
  assert.equal(
    store.adopt('udp-4-1', (fd) => fd),
    undefined,
  );
  assert.deepEqual(calls, []);
});

for (const [what, changes] of [
  ['another process', { LISTEN_PID: '1' }],
  ['nobody', { LISTEN_PID: undefined }],
  ['us, without a count', { LISTEN_FDS: '' }],
  ['us, with a nonsense count', { LISTEN_FDS: '-3' }],
] as const) {
  test(`descriptors meant for ${what} are not touched`, () => {
    const { store, environment, calls } = inherit('tun-4-0', changes);
    assert.deepEqual(store.discardRest(), []);
    assert.deepEqual(calls, []);
    assert.equal(environment['LISTEN_FDS'], undefined);
  });
}

test('what does not fit is closed here and there', () => {
  const { store, calls } = inherit('udp-4-0:udp-4-0');
  const refuse = (): never => {
    throw new Error('EINVAL');
  };
  assert.deepEqual(calls.splice(0), ['close 4'], 'a second one of the same name');
  assert.equal(store.adopt('udp-4-0', refuse), undefined);
  assert.deepEqual(calls, ['persist 3 false', 'close 3', 'FDSTOREREMOVE=1 FDNAME=udp-4-0']);
});

test('what nobody adopted goes, and a TUN device with it', () => {
  const { store, calls } = inherit('tun-4-0:udp-4-0:tun-4-7');
  store.adopt('tun-4-0', (fd) => fd);
  assert.deepEqual(store.discardRest(), ['udp-4-0', 'tun-4-7']);
  assert.deepEqual(calls, [
    'close 4',
    'FDSTOREREMOVE=1 FDNAME=udp-4-0',
    'persist 5 false',
    'close 5',
    'FDSTOREREMOVE=1 FDNAME=tun-4-7',
  ]);
  assert.deepEqual(store.discardRest(), []);
});

test('new ones are given to the service manager; adopted ones can be given back and adopted again', () => {
  const { store, calls } = inherit('tun-4-0');
  store.keep('udp-4-0', 9);
  assert.deepEqual(calls, ['FDSTORE=1 FDNAME=udp-4-0 FDPOLL=0 with 9']);
  store.giveBack('udp-4-0', 9);
  assert.equal(
    store.adopt('udp-4-0', (fd) => fd),
    9,
  );
});

test('weft-keeper keeps and starts nothing; systemd does both; without one nothing outlives us', () => {
  const keeps = inherit('tun-4-0', { WEFT_KEEPER: '1' }).store;
  assert.deepEqual([keeps.outlivesUs, keeps.startsUsAgain], [true, false]);
  const starts = inherit('tun-4-0').store;
  assert.deepEqual([starts.outlivesUs, starts.startsUsAgain], [true, true]);
  const alone = inherit('tun-4-0', { NOTIFY_SOCKET: undefined, WEFT_KEEPER: '1' }).store;
  assert.deepEqual([alone.outlivesUs, alone.startsUsAgain], [false, false]);
});

test('a keeper that was started anew gets again what is in use, once', async (t) => {
  const socket = path.join(await temporaryFolder(t), 'keeper.sock');
  writeFileSync(socket, '');
  const { store, calls } = inherit('tun-4-0:udp-4-0:udp-4-1', { NOTIFY_SOCKET: socket });
  store.adopt('tun-4-0', (fd) => fd);
  store.adopt('udp-4-0', (fd) => fd);
  store.discardRest();
  store.keep('udp-4-1', 9);
  calls.length = 0;
  store.keepAgain();
  rmSync(socket);
  store.keepAgain();
  assert.deepEqual(calls, [], 'the same one, and none');
  // Whatever inode it gets, its time is another.
  await until('another keeper listens', () => {
    writeFileSync(socket, '');
    store.keepAgain();
    return calls.length > 0;
  });
  const all = ['tun-4-0 FDPOLL=0 with 3', 'udp-4-0 FDPOLL=0 with 4', 'udp-4-1 FDPOLL=0 with 9'];
  const wanted = all.map((text) => `FDSTORE=1 FDNAME=${text}`);
  assert.deepEqual(calls.splice(0), wanted);
  store.keepAgain();
  assert.deepEqual(calls, []);
});

test('a keeper that did not read for a while is told again what it missed, now and then', () => {
  const { addon, store, calls } = inherit('tun-4-0:udp-4-0');
  const listening = addon.notify;
  const deaf = (): never => {
    calls.push('deaf');
    throw Object.assign(new Error('sendmsg EAGAIN'), { code: 'EAGAIN' });
  };
  addon.notify = deaf;
  store.discardRest();
  store.keep('tun-4-0', 9);
  store.keep('bulk-tun-4-0', 10);
  calls.length = 0;
  for (let look = 0; look < 20; look++) store.keepAgain();
  assert.deepEqual(
    calls,
    ['deaf', 'deaf'],
    'one try in ten looks, which ends with the first message',
  );
  addon.notify = listening;
  calls.length = 0;
  for (let look = 0; look < 20; look++) store.keepAgain();
  assert.deepEqual(calls, [
    'FDSTOREREMOVE=1 FDNAME=tun-4-0',
    'FDSTORE=1 FDNAME=tun-4-0 FDPOLL=0 with 9',
    'FDSTOREREMOVE=1 FDNAME=udp-4-0',
    'FDSTOREREMOVE=1 FDNAME=bulk-tun-4-0',
    'FDSTORE=1 FDNAME=bulk-tun-4-0 FDPOLL=0 with 10',
  ]);
});
