/** Stores that fail and lie, with real daemons: clocks that are days off, a full disk, a writer that is frozen. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../lab/command.ts';
import { Lab } from '../../lab/lab.ts';
import { NodeClock } from '../../lab/node-clock.ts';
import { LabProcess } from '../../lab/process.ts';
import { ping } from '../../lab/traffic.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { FileStore } from '../../src/cluster/store/file.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';
import { statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const DAY_SECONDS = 86_400;
const WEFT = { kind: 'weft' } as const;

const temporary = (): string => mkdtempSync(path.join(tmpdir(), 'weft-test-'));
const secondsUntilNow = (): number => Math.floor(Date.now() / 1000);

for (const store of ['file', 'etcd'] as const)
  describe(`netns: clocks that are days off, ${store} store`, () => {
    const folder = temporary();
    let lab: Lab;
    const node = (i: number): WeftNode => lab.weftNodes[i] as WeftNode;
    const keys = async (): Promise<string[]> => [...(await lab.board.read()).keys()].sort();

    before(async () => {
      const ahead = await NodeClock.create(path.join(folder, 'ahead'));
      ahead.move(2 * DAY_SECONDS);
      const epoch = await NodeClock.create(path.join(folder, 'epoch'));
      epoch.move(-secondsUntilNow());
      // Four subnets for three nodes and a new one: whoever thinks leases ended takes one of theirs.
      const configOptions = { Network: '10.244.0.0/21', SubnetLen: 24, SubnetMin: '10.244.4.0' };
      lab = await Lab.build({
        nodes: [
          WEFT,
          { ...WEFT, environment: ahead.environment },
          { ...WEFT, environment: epoch.environment },
        ],
        store,
        configOptions,
      });
    });
    after(async () => {
      await lab?.close();
      rmSync(folder, { recursive: true });
    });

    it('two days ahead and 1970: pods of all reach each other, and everybody keeps its lease', async () => {
      const own = await Promise.all(
        [0, 1, 2].map(async (i) => (await statusOf(node(i))).lease.key),
      );
      assert.deepEqual(await keys(), [...own].sort());
      for (const i of [1, 2, 0]) {
        // Nothing of the start before helps: it must find its lease in the store, and take nobody's.
        await node(i).stop();
        rmSync(node(i).subnetFile, { force: true });
        await node(i).start();
        assert.equal((await statusOf(node(i))).lease.key, own[i]);
      }
      assert.deepEqual(await keys(), [...own].sort());
      await lab.waitForPeers();
    });

    it('health names the clock that is off, on its own node only', async () => {
      for (const i of [1, 2])
        await until(`node ${i + 1} says so`, async () =>
          (await statusOf(node(i))).health.some(({ code }) => code === 'clock-skew'),
        );
      const { health } = await statusOf(node(0));
      assert.ok(!health.some(({ code }) => code === 'clock-skew'));
    });
  });

for (const [what, size, fill] of [
  ['full', ['size=256k'], (folder: string) => fillDisk(folder)],
  ['out of inodes', ['size=4m', 'nr_inodes=64'], (folder: string) => fillInodes(folder)],
] as const)
  describe(`netns: the file store's disk is ${what}`, () => {
    const folder = temporary();
    let lab: Lab;
    const node = (i: number): WeftNode => lab.weftNodes[i] as WeftNode;

    before(async () => {
      lab = await Lab.build({ nodes: [WEFT, WEFT], waitForPeers: false });
      await run('mount', ['-t', 'tmpfs', '-o', size.join(','), 'weft-test', folder]);
      mkdirSync(path.join(folder, 'subnets'));
      const config = '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}';
      writeFileSync(path.join(folder, 'config'), config);
      // The pods' subnets must stay.
      for (const [key, value] of await lab.board.read())
        await new FileStore(folder).create(key, value, DAY_SECONDS * 1000);
      await node(0).restart({ store: [`--store=file:${folder}`] });
      await node(1).restart({ store: [`--store=file:${folder}`] });
      await lab.waitForPeers();
    });
    after(async () => {
      await lab?.close();
      await run('umount', [folder], { allowFailure: true });
      rmSync(folder, { recursive: true });
    });

    it('leases stay, drafts do not, nodes go on; a node that starts waits and says why', async () => {
      const leases = readdirSync(path.join(folder, 'subnets')).sort();
      const filler = fill(folder);
      await node(1).stop();
      const [command, ...args] = node(1).command();
      const daemon = node(1).namespace.spawn(command, [...args, '--start-from-memory=false']);
      await until('it says why', () => /ENOSPC|no space left/i.test(daemon.output));
      await sleep(1_000);
      assert.deepEqual(readdirSync(path.join(folder, 'subnets')).sort(), leases);
      // Both try again and again: the one that is being written may be there.
      const drafts = () => readdirSync(folder).filter((name) => name.startsWith('.draft'));
      const old = drafts();
      await until('none stays', () => !drafts().some((name) => old.includes(name)));
      assert.ok(old.length <= 2, `${old.length} drafts`);
      assert.equal((await statusOf(node(0))).lease.state, 'held');
      for (const file of filler) rmSync(file);
      await until('it has its lease', () => daemon.output.includes('"ready"'));
      const { lossPct } = await ping(lab.pod(0), lab.pod(1), { count: 3 });
      assert.equal(lossPct, 0);
    });
  });

function fillDisk(folder: string): string[] {
  const file = path.join(folder, 'filler');
  for (let bytes = 1 << 18; bytes >= 1; bytes >>= 1) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(bytes), { flag: 'a' });
    } catch {
      // less fits perhaps
    }
  }
  return [file];
}

function fillInodes(folder: string): string[] {
  const files: string[] = [];
  for (let i = 0; i < 1_000; i++) {
    const file = path.join(folder, `filler-${i}`);
    try {
      writeFileSync(file, '', { flag: 'wx' });
      files.push(file);
    } catch {
      return files;
    }
  }
  throw new Error('the disk has inodes without end');
}

describe('netns: a writer of the file store is frozen while it writes', () => {
  const folder = temporary();
  after(() => rmSync(folder, { recursive: true }));

  it('others go on, and when it thaws neither takes what the other has', async () => {
    mkdirSync(path.join(folder, 'subnets'));
    const module = path.join(projectRoot(), 'dist/src/cluster/store/file.js');
    // Creates and deletes without end: the freeze finds it in the middle of something.
    const program = `const { FileStore } = await import(${JSON.stringify(`file://${module}`)});
      const store = new FileStore(${JSON.stringify(folder)});
      for (let i = 0; ; i++) {
        const key = '10.9.' + (i % 200) + '.0-24';
        console.log(key, await store.create(key, 'frozen', undefined));
        await store.delete(key);
      }`;
    const writer = new LabProcess(process.execPath, ['--input-type=module', '-e', program]);
    try {
      await writer.waitForOutput(/created/);
      const store = new FileStore(folder);
      for (let round = 0; round < 4; round++) {
        writer.signal('SIGSTOP');
        const key = `10.8.${round}.0-24`;
        assert.equal(await store.create(key, 'ours', undefined), 'created');
        writer.signal('SIGCONT');
        const said = writer.output.length;
        await until('it goes on', () => writer.output.length > said);
        await sleep(Math.random() * 20);
      }
      assert.ok(!writer.output.includes('exists'), 'nobody else has its keys');
      assert.equal(writer.exit, undefined, writer.lastLines());
    } finally {
      await writer.kill();
    }
    const ours = readdirSync(path.join(folder, 'subnets')).filter((key) => key.startsWith('10.8.'));
    assert.equal(ours.length, 4);
  });
});
