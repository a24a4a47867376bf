/** A store whose writers are hostile, and a real daemon: what its log, its pages and every command of weft print. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from '../../lab/command.ts';
import { Lab } from '../../lab/lab.ts';
import { projectBinary } from '../../lab/root.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { activeIn, HOSTILE_TEXTS } from '../support/hostile-text.ts';
import { needs } from '../support/needs.ts';
import { adminPage } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const LEASES = 60;

describe('netns: a hostile store', () => {
  let lab: Lab;
  const node = (): WeftNode => lab.weftNodes[0] as WeftNode;
  const weft = async (...args: string[]): Promise<string> => {
    const words = [projectBinary('weft'), ...args, `--admin-socket=${node().adminSocket}`];
    const { stdout, stderr } = await node().namespace.exec(process.execPath, words, {
      allowFailure: true,
      timeoutMs: 60_000,
    });
    return stdout + stderr;
  };
  const put = (name: string, value: string): void =>
    writeFileSync(path.join(lab.storeDir, 'subnets', name), value);

  before(async () => {
    lab = await Lab.build({ nodes: [{ kind: 'weft' }, { kind: 'kernel' }] });
    for (let i = 0; i < LEASES; i++) put(`10.244.${i >> 4}.${(i & 15) * 16}-28`, leaseText(i, 0));
    put('10.244.9.0-24\n<0>forged\u001b[2J', leaseText(0, 0));
    await until('the leases are seen', () => /leases ignored/.test(node().log));
  });
  after(() => lab?.close());

  it('the log has few lines, however often the leases change, and nothing in it acts', async () => {
    for (let round = 1; round <= 5; round++) {
      const { lastEventAt } = JSON.parse(await adminPage(node().adminSocket, '/status')).store;
      for (let i = 0; i < 50; i++) put(`10.244.${i >> 4}.${(i & 15) * 16}-28`, leaseText(i, round));
      await until('the change is seen', async () => {
        const { store } = JSON.parse(await adminPage(node().adminSocket, '/status'));
        return store.lastEventAt !== lastEventAt;
      });
    }
    const lines = node().log.trimEnd().split('\n');
    assert.ok(lines.length < 60, `${lines.length} lines`);
    assert.ok(node().log.length < 50_000, `${node().log.length} characters`);
    assert.equal(activeIn(node().log), '');
    for (const kind of ['of another backend type', 'with data', 'that can not be read'])
      assert.ok(
        lines.some((line) => line.includes(kind)),
        kind,
      );
  });

  it('no command prints what acts on a terminal, for people and as JSON', async () => {
    for (const words of [
      ['status'],
      ['peers'],
      ['topology'],
      ['drops', '--all'],
      ['top', '--count=1'],
      ['ping', '--all'],
      ['doctor'],
      ['routes', 'get', '10.244.9.1'],
      ['config', 'show', '--origin'],
    ])
      for (const form of [[], ['--json']]) {
        const shown = await weft(...words, ...form);
        assert.notEqual(shown, '');
        assert.equal(activeIn(shown), '', words.join(' '));
      }
    assert.equal(activeIn(await weft('peers', '--dump'), '\n\t'), '');
    const bad = path.join(lab.scope.tempDir, 'net-conf');
    for (const text of HOSTILE_TEXTS) {
      writeFileSync(bad, JSON.stringify({ Network: text, [text]: 1, Backend: { Type: text } }));
      assert.equal(activeIn(await weftAlone('config', 'check', '--net-config', bad)), '');
    }
  });

  it('the files of a bug report can be shown, too', async () => {
    const file = path.join(lab.scope.tempDir, 'report.tar.gz');
    assert.equal(activeIn(await weft('bugreport', '-o', file)), '');
    const { stdout } = await run('tar', ['-xzOf', file]);
    assert.ok(stdout.length > 1_000);
    assert.equal(activeIn(stdout, '\n\t'), '');
  });

  const weftAlone = async (...args: string[]): Promise<string> => {
    const { stdout, stderr } = await run(process.execPath, [projectBinary('weft'), ...args], {
      allowFailure: true,
    });
    return stdout + stderr;
  };
});

function leaseText(i: number, round: number): string {
  const lease = {
    PublicIP: `192.0.${i >> 8}.${i & 255}`,
    BackendType: 'vxlan',
    BackendData: { VNI: 1, VtepMAC: '02:00:00:00:00:01' },
  };
  const text = `${HOSTILE_TEXTS[i % HOSTILE_TEXTS.length]}${round}`;
  const kinds = [
    { ...lease, BackendType: text },
    { ...lease, BackendData: { VtepMAC: text } },
    text,
  ];
  return JSON.stringify(kinds[i % kinds.length]);
}
