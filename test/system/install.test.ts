/** weft install and uninstall into a folder: the files of a package, settings that stay, and what is refused. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';

const { after, describe, it } = needs();

const weft = (program: string, ...args: string[]) =>
  spawnSync(process.execPath, [program, ...args], { encoding: 'utf8', timeout: 60_000 });

describe('weft install', () => {
  const root = mkdtempSync(path.join(os.tmpdir(), 'weft-install-'));
  const program = path.join(projectRoot(), 'bin/weft');
  const inside = (file: string): string => path.join(root, file);
  after(() => rmSync(root, { recursive: true, force: true }));

  it('says what it would do, and does nothing', () => {
    const { status, stdout } = weft(program, 'install', '--systemd', '--dry-run', '--root', root);
    assert.equal(status, 0);
    assert.match(stdout, /^would write \/usr\/lib\/systemd\/system\/weftd\.service$/m);
    assert.ok(!existsSync(inside('usr')));
  });

  it('installs a program that runs from its place, unit, man pages and completions', () => {
    const { status, stdout, stderr } = weft(program, 'install', '--systemd', '--root', root);
    assert.equal(status, 0, stderr);
    for (const file of [
      'usr/lib/systemd/system/weftd.service',
      'usr/lib/sysusers.d/weft.conf',
      'usr/lib/tmpfiles.d/weft.conf',
      'usr/lib/sysctl.d/50-weft.conf',
      'usr/share/man/man8/weftd.8.gz',
      'usr/share/bash-completion/completions/weft',
    ]) {
      assert.ok(existsSync(inside(file)), file);
      assert.ok(stdout.includes(file), file);
    }
    assert.equal(readlinkSync(inside('usr/bin/weftd')), '../lib/weft/bin/weftd');
    assert.equal(statSync(inside('etc/default/weftd')).mode & 0o777, 0o640);
    const installed = weft(inside('usr/lib/weft/bin/weft'), '--version');
    assert.equal(installed.stdout, weft(program, '--version').stdout);
    assert.equal(weft(inside('usr/lib/weft/bin/weftd'), '--version').status, 0);
  });

  it('again: the settings stay as the operator left them', () => {
    appendFileSync(inside('etc/default/weftd'), 'FLANNELD_IFACE=eth7\n');
    assert.equal(weft(program, 'install', '--systemd', '--root', root).status, 0);
    assert.match(readFileSync(inside('etc/default/weftd'), 'utf8'), /^FLANNELD_IFACE=eth7$/m);
  });

  it('uninstall takes everything back but the settings', () => {
    assert.equal(weft(program, 'uninstall', '--systemd', '--root', root).status, 0);
    assert.ok(existsSync(inside('etc/default/weftd')));
    for (const file of ['usr/lib/weft', 'usr/bin/weft', 'usr/lib/systemd/system/weftd.service'])
      assert.ok(!existsSync(inside(file)), file);
  });

  it('refuses without --systemd, and with an option that does not exist', () => {
    assert.equal(weft(program, 'install').status, 64);
    assert.equal(weft(program, 'install', '--systemd', '--nonsense').status, 64);
  });
});
