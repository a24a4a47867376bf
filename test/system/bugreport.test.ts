/** weft bugreport: what is in it, and that no secret is. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { redact, secretsIn } from '../../src/cli/bugreport/redact.ts';
import { tarOf } from '../../src/cli/bugreport/tar.ts';
import { archiveOf } from '../../src/cli/commands/bugreport.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';

const { after, before, describe, it } = needs();

const SECRET = 'pl4nted-Secret';

describe('redaction', () => {
  it('takes secrets out of every form that they have in logs, files and pages', () => {
    for (const text of [
      `FLANNELD_ETCD_PASSWORD=${SECRET}`,
      `FLANNELD_ETCD_PASSWORD="${SECRET} more"`,
      `weftd --etcd-password=${SECRET} --iface=eth0`,
      `weftd -etcd-password ${SECRET} -iface eth0`,
      `{"etcd-password":"${SECRET}","a":1}`,
      `"msg":"{\\"password\\":\\"${SECRET}\\"}"`,
      `http://root:${SECRET}@192.0.2.1:2379`,
      `http://${SECRET}@192.0.2.1:2379`,
      `Authorization: Bearer ${SECRET}`,
      `token: ${SECRET}`,
      `-----BEGIN EC PRIVATE KEY-----\n${SECRET}\n-----END EC PRIVATE KEY-----`,
      `-----BEGIN PRIVATE KEY-----\n${SECRET}`,
    ])
      assert.ok(!redact(text).includes(SECRET), `${text} became ${redact(text)}`);
  });

  it('leaves the rest as it is', () => {
    const text =
      '{"peers":[{"key":"10.5.1.0-24","mac":"02:00:00:00:00:01"}]} http://192.0.2.1:2379 --iface=eth0\n';
    assert.equal(redact(text), text);
    assert.equal(
      redact('weftd --etcd-password=x --iface=eth0'),
      'weftd --etcd-password=(removed) --iface=eth0',
    );
  });

  it('a known secret is taken out wherever it stands', () => {
    const known = secretsIn([
      'A=1',
      `X_PASSWORD=${SECRET}`,
      '--token',
      'abcdef',
      'http://u:p4ss@h',
    ]);
    assert.deepEqual(known.sort(), ['abcdef', 'p4ss', SECRET].sort());
    assert.equal(redact(`said ${SECRET} aloud`, known), 'said (removed) aloud');
  });
});

describe('bugreport', () => {
  let folder: string;
  const weft = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    spawnSync(path.join(projectRoot(), 'bin/weft'), ['bugreport', ...args], {
      encoding: 'utf8',
      env: { ...process.env, ...env },
    });
  /** All files of an archive in one text, as tar(1) sees them. */
  const unpack = (file: string): string => {
    const { status, stdout } = spawnSync('tar', ['-xzOf', file], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    assert.equal(status, 0);
    return stdout;
  };

  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'weft-bugreport-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('tar reads what we write: names, sizes, contents', () => {
    const file = path.join(folder, 'a.tar');
    const contents = ['', 'x', 'y'.repeat(512), 'ü'.repeat(700)];
    const entries = contents.map((text, i) => ({ name: `f/${i}`, content: Buffer.from(text) }));
    writeFileSync(file, tarOf(entries, new Date(0)));
    const list = spawnSync('tar', ['-tvf', file], { encoding: 'utf8' });
    assert.equal(list.stderr, '');
    assert.match(list.stdout, /-rw------- 0\/0 +1400 1970-01-01 00:00 f\/3\n$/);
    assert.equal(spawnSync('tar', ['-xOf', file], { encoding: 'utf8' }).stdout, contents.join(''));
    assert.throws(
      () => tarOf([{ name: 'x'.repeat(101), content: Buffer.alloc(0) }], new Date()),
      RangeError,
    );
  });

  it('without a daemon: says what is missing, and never writes over a file', () => {
    const file = path.join(folder, 'without.tar.gz');
    const args = ['-o', file, '--admin-socket=/nonexistent', '--subnet-file=/nonexistent'];
    const { status, stdout } = weft(args);
    assert.equal(status, 0);
    assert.match(stdout, /daemon\/status\.json +\S.*\(missing: no weftd answers at \/nonexistent/);
    assert.match(stdout, /subnet\.env .*missing/);
    assert.match(stdout, /host\/ip-link\.json +network devices\n/);
    assert.match(stdout, /Nothing is sent/);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.match(unpack(file), /"kernel": /);
    const again = weft(args);
    assert.equal(again.status, 1);
    assert.match(again.stderr, /choose another place with -o/);
  });

  it('a planted password is nowhere in the archive, whoever tells it (fake daemon)', async () => {
    const socket = path.join(folder, 'weft.sock');
    const pages = {
      pid: process.pid,
      said: `the password is ${SECRET}`,
      options: { 'etcd-password': SECRET },
    };
    const server = http.createServer((_, response) => response.end(JSON.stringify(pages)));
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const environment = path.join(folder, 'weftd.env');
    const subnet = path.join(folder, 'subnet.env');
    writeFileSync(
      environment,
      `FLANNELD_ETCD_PASSWORD='${SECRET}'\nFLANNELD_ETCD_ENDPOINTS=http://u:${SECRET}@h\n`,
    );
    writeFileSync(subnet, `FLANNEL_MTU=1450\n# ${SECRET}\n`);
    const file = path.join(folder, 'with.tar.gz');
    const args = [
      '--json',
      '-o',
      file,
      `--admin-socket=${socket}`,
      `--env-file=${environment}`,
      `--subnet-file=${subnet}`,
    ];
    // Not spawnSync: this process is the daemon.
    const { execFile } = await import('node:child_process');
    const { stdout } = await promisify(execFile)(path.join(projectRoot(), 'bin/weft'), [
      'bugreport',
      ...args,
    ]);
    server.close();
    const text = gunzipSync(readFileSync(file)).toString('latin1');
    assert.ok(!text.includes(SECRET) && !stdout.includes(SECRET));
    const all = unpack(file);
    assert.match(all, /the password is \(removed\)/);
    assert.match(all, /FLANNEL_MTU=1450/);
    const { contents } = JSON.parse(stdout) as {
      contents: { name: string; missing: string | null }[];
    };
    for (const name of ['daemon/status.json', 'daemon/drops.json', 'weftd.env', 'subnet.env'])
      assert.equal(contents.find((each) => each.name === name)?.missing, null, name);
  });

  it('the list of contents is the first file', () => {
    const item = { name: 'a', what: 'something', text: 'x', missing: null };
    const archive = archiveOf(
      [item, { ...item, name: 'b', text: '', missing: 'gone' }],
      new Date(0),
    );
    assert.match(archive.toString('latin1'), /^weft-bugreport\/CONTENTS\.txt\0/);
    assert.match(archive.toString('latin1'), /b {2}something \(missing: gone\)/);
    assert.ok(!archive.toString('latin1').includes('weft-bugreport/b'));
  });
});
