import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { type Addon, type EngineViews, loadAddon } from '../../../src/memory/addon.ts';
import { LAYOUT } from '../../../src/memory/layout.ts';
import { slowSum } from '../../support/native/packets.ts';
import { makeRig, makeViews, udpOptions } from '../../support/native/rig.ts';

const addon = loadAddon();

test('createEngine refuses views of the wrong size or type', () => {
  const views = makeViews();
  for (const name of ['pool', 'tunIn', 'udpIn', 'tunOut', 'stats', 'clock'] as const) {
    const short = { ...views, [name]: views[name].subarray(1) };
    assert.throws(() => addon.createEngine(short), RangeError, name);
    const wrong = { ...views, [name]: new Float32Array(4) } as unknown as EngineViews;
    assert.throws(() => addon.createEngine(wrong), TypeError, name);
  }
  assert.throws(() => addon.createEngine({ ...views, wakeFd: -2 }), RangeError);
  assert.throws(() => addon.createEngine(undefined as unknown as EngineViews), TypeError);
});

test('engines are handles of one thread: they run out, come back, and end once', () => {
  const views = makeViews();
  const engines: number[] = [];
  assert.throws(
    () => {
      for (;;) engines.push(addon.createEngine(views));
    },
    { code: 'EMFILE', syscall: 'createEngine', errno: -24 },
  );
  assert.equal(engines.length, LAYOUT.enginesMax);
  for (const engine of engines) addon.destroyEngine(engine);
  assert.throws(() => addon.destroyEngine(engines[0] as number), RangeError);
  assert.throws(() => addon.wait(engines[0] as number, 0), RangeError);
  addon.destroyEngine(addon.createEngine(views));
});

test('hot calls check engine, link and count', () => {
  const rig = makeRig();
  for (const bad of [-1, 1, 2 ** 31 - 1]) {
    assert.throws(() => addon.udpReceive(rig.engine, bad), RangeError);
    assert.throws(() => addon.tunReceive(rig.engine + 100, rig.link), RangeError);
  }
  assert.throws(() => addon.udpSend(rig.engine, rig.link, LAYOUT.tunInRows + 1), RangeError);
  assert.throws(() => addon.udpSend(rig.engine, rig.link, -1), RangeError);
  assert.throws(() => addon.tunSend(rig.engine, rig.link, LAYOUT.tunOutRows + 1), RangeError);
  assert.throws(() => (addon.wait as (engine: unknown) => number)('0'), TypeError);
  assert.equal(addon.udpSend(rig.engine, rig.link, 0), 0);
  rig.end();
});

test('attachLink checks its ports and the number of links', () => {
  const engine = addon.createEngine(makeViews());
  const pair = addon.openPair();
  const udp = [4, 6].map((family) => addon.openUdp(udpOptions(family as 4 | 6)).fd) as [
    number,
    number,
  ];
  const pairs = Array.from({ length: LAYOUT.linksMax }, () => addon.openPair());
  const ports = (tunFd: number, udpFd: number, fds: number[]) => ({
    family: 4 as const,
    tunFd,
    udpFd,
    sendFds: Int32Array.from(fds),
    tapFd: -1,
    features: 0,
  });
  assert.throws(() => addon.attachLink(engine, ports(pair[0], udp[0], [])), RangeError);
  const many = new Array(LAYOUT.sendSocketsMax + 1).fill(udp[0]);
  assert.throws(() => addon.attachLink(engine, ports(pair[0], udp[0], many)), RangeError);
  const odd = { ...ports(pair[0], udp[0], [udp[0]]), family: 5 as unknown as 4 };
  assert.throws(() => addon.attachLink(engine, odd), RangeError);
  const closed = ports(pair[0], 1_000_000, [udp[0]]);
  assert.throws(() => addon.attachLink(engine, closed), { code: 'EBADF', syscall: 'attachLink' });
  assert.equal(addon.attachLink(engine, ports(pair[0], udp[0], [udp[0]])), 0);
  assert.equal(addon.attachLink(engine, ports(pair[1], udp[1], [udp[1]])), 1);
  for (let i = 2; i < LAYOUT.linksMax; i++) {
    const [near, far] = pairs[i] as [number, number];
    assert.equal(addon.attachLink(engine, ports(near, far, [udp[0]])), i);
  }
  const [near, far] = pairs[0] as [number, number];
  assert.throws(() => addon.attachLink(engine, ports(near, far, [udp[0]])), { code: 'ENOSPC' });
  addon.destroyEngine(engine);
  for (const fd of [...pair, ...pairs.flat(), ...udp]) addon.close(fd);
});

test('errors carry code, errno and syscall', () => {
  const taken = addon.openUdp(udpOptions(4));
  const again = udpOptions(4, { port: taken.port });
  assert.throws(() => addon.openUdp(again), { code: 'EADDRINUSE', syscall: 'bind', errno: -98 });
  addon.close(taken.fd);
  assert.throws(() => addon.close(taken.fd), { code: 'EBADF', syscall: 'close' });
  assert.throws(() => addon.wake(taken.fd), { code: 'EBADF', syscall: 'write' });
  const foreign = udpOptions(4, { address: Uint8Array.of(192, 0, 2, 1) });
  assert.throws(() => addon.openUdp(foreign), { code: 'EADDRNOTAVAIL' });
  assert.throws(() => addon.openUdp(udpOptions(4, { port: 65536 })), RangeError);
  assert.throws(() => addon.openUdp(udpOptions(6, { address: new Uint8Array(4) })), RangeError);
  assert.throws(() => addon.openTun('a-name-that-is-too-long', 0), RangeError);
  assert.throws(() => addon.openTun('nul\0', 0), TypeError);
  assert.throws(() => addon.pin(4096), { code: 'EINVAL', syscall: 'sched_setaffinity' });
});

test('reusePort lets two sockets share a port', () => {
  const first = addon.openUdp(udpOptions(6, { reusePort: true }));
  const second = addon.openUdp(udpOptions(6, { reusePort: true, port: first.port }));
  assert.equal(second.port, first.port);
  addon.close(first.fd);
  addon.close(second.fd);
});

test('a wake ends a wait, is drained, and several count as one', () => {
  const wakeFd = addon.openWake();
  const views = makeViews(wakeFd);
  const engine = addon.createEngine(views);
  assert.equal(addon.wait(engine, 0), 0);
  addon.wake(wakeFd);
  addon.wake(wakeFd);
  assert.equal(addon.wait(engine, 1000), LAYOUT.waitWake);
  assert.equal(addon.wait(engine, 0), 0);
  const started = process.hrtime.bigint();
  const before = views.clock[0] as number;
  assert.equal(addon.wait(engine, 30), 0);
  assert.ok(process.hrtime.bigint() - started >= 29_000_000n);
  const passed = ((views.clock[0] as number) - before) | 0;
  assert.ok(passed >= 29 && passed < 5000, `clock moved ${passed} ms`);
  addon.destroyEngine(engine);
  addon.close(wakeFd);
});

test('readable descriptors show as their link’s bits', async () => {
  const rig = makeRig();
  assert.equal(addon.wait(rig.engine, 0), 0);
  const socket = createSocket('udp4');
  await new Promise<void>((done) => socket.send('hello', rig.port, '127.0.0.1', () => done()));
  assert.equal(addon.wait(rig.engine, 1000), LAYOUT.waitUdp);
  assert.equal(rig.receive(1)[0]?.bytes.toString(), 'hello');
  socket.close();
  rig.end();
});

test('another thread has engines of its own and ends with one alive', async () => {
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    const { createRequire } = require('node:module');
    const addon = createRequire(workerData.root)(workerData.file);
    const engine = addon.createEngine(workerData.views);
    parentPort.postMessage(engine);
    addon.wait(engine, 20);
  `;
  const views = makeViews();
  const mine = addon.createEngine(views);
  const file = process.env['WEFT_ADDON'] ?? 'native/build/weft.node';
  const root = `${process.cwd()}/`;
  const absolute = file.startsWith('/') ? file : root + file;
  for (let round = 0; round < 3; round++) {
    const worker = new Worker(code, {
      eval: true,
      workerData: { root, file: absolute, views: makeViews() },
    });
    const first = await new Promise((done, fail) => {
      worker.once('message', done);
      worker.once('error', fail);
    });
    assert.equal(first, 0);
    if (round === 2) await worker.terminate();
    else await new Promise((done) => worker.once('exit', done));
  }
  assert.equal(addon.wait(mine, 0), 0);
  addon.destroyEngine(mine);
});

test('an engine keeps its views alive', async () => {
  const wakeFd = addon.openWake();
  const engine = addon.createEngine(makeViews(wakeFd));
  const waste: Uint8Array[] = [];
  for (let i = 0; i < 50; i++) {
    waste.push(new Uint8Array(10 << 20));
    if (waste.length > 5) waste.length = 0;
    await sleep(1);
  }
  assert.equal(addon.wait(engine, 0), 0); // writes the clock word
  addon.destroyEngine(engine);
  addon.close(wakeFd);
});

test('notify without a socket says so', () => {
  const saved = process.env['NOTIFY_SOCKET'];
  delete process.env['NOTIFY_SOCKET'];
  assert.equal(addon.notify('READY=1'), false);
  process.env['NOTIFY_SOCKET'] = 'relative';
  assert.throws(() => addon.notify('READY=1'), { code: 'EINVAL' });
  process.env['NOTIFY_SOCKET'] = '@weft-test-nobody-listens';
  assert.throws(() => addon.notify('READY=1'), { code: 'ECONNREFUSED', syscall: 'sendmsg' });
  if (saved === undefined) delete process.env['NOTIFY_SOCKET'];
  else process.env['NOTIFY_SOCKET'] = saved;
});

function sums(checked: Addon): void {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.nat(40),
      fc.nat(0xffffffff),
      (bytes, skip, seed) => {
        const offset = Math.min(skip, bytes.length);
        const length = bytes.length - offset;
        const folded = ((seed >>> 16) + (seed & 0xffff)) % 0x1ffff;
        const expected = slowSum(bytes.subarray(offset), (folded & 0xffff) + (folded >>> 16));
        assert.equal(checked.checksum(bytes, offset, length, seed) % 0xffff, expected % 0xffff);
      },
    ),
  );
}

test('checksum agrees with the slow sum at any offset and seed', () => sums(addon));

test('checksum refuses what is outside its bytes', () => {
  const bytes = new Uint8Array(10);
  assert.throws(() => addon.checksum(bytes, 11, 0, 0), RangeError);
  assert.throws(() => addon.checksum(bytes, 4, 7, 0), RangeError);
  assert.throws(() => addon.checksum(bytes, -1, 1, 0), RangeError);
  assert.throws(() => addon.checksum(bytes, 0, 1.5, 0), RangeError);
  assert.equal(addon.checksum(new Uint8Array(0), 0, 0, 0), 0);
});
