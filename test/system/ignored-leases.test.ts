/** A store full of what is not a peer: the log says so in a line. The file store is a real one. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { activeIn, HOSTILE_TEXTS } from '../support/hostile-text.ts';
import { needs } from '../support/needs.ts';

const { test } = needs();

const ROOT = new URL('../../src/', import.meta.url).href;
const LEASES = 3_000;

/** Six kinds of leases that are no peers; the texts in them are different in each lease and in each round. */
function value(i: number, round: number): string {
  const data = { VNI: 1, VtepMAC: '02:00:00:00:00:01' };
  const lease = { PublicIP: `192.0.${i >> 8}.${i & 255}`, BackendType: 'vxlan', BackendData: data };
  const text = `${HOSTILE_TEXTS[i % HOSTILE_TEXTS.length]}${round}`;
  const kinds = [
    { ...lease, BackendType: text },
    { ...lease, BackendData: { VNI: 5 + i + round, VtepMAC: data.VtepMAC } },
    { ...lease, BackendData: { VtepMAC: text } },
    { ...lease, PublicIP: `10.1.${i & 255}.1` },
    { BackendType: 'vxlan', BackendData: data },
    text,
  ];
  return JSON.stringify(kinds[i % kinds.length]);
}

/** As the daemon: lists of a file store through the registry and membership into a log. */
const PROGRAM = `
  const load = (file) => import(${JSON.stringify(ROOT)} + file);
  const { createLog } = await load('control/log/log.js');
  const { Membership } = await load('control/membership/membership.js');
  const { FileStore } = await load('cluster/store/file.js');
  const { KeyedRegistry } = await load('cluster/store/keyed-registry.js');
  const { parseNetworkConfig } = await load('cluster/network-config.js');
  const { parsePrefix } = await load('shared/address.js');
  const { systemClock } = await load('shared/clock.js');
  const { readFileSync, writeFileSync } = await import('node:fs');
  const [folder, format] = process.argv.slice(1);
  const log = createLog(format, 'info');
  const registry = new KeyedRegistry(new FileStore(folder), { renewMarginMs: 1, log, clock: systemClock });
  const membership = new Membership(registry, log, systemClock);
  const config = parseNetworkConfig('{"Network":"10.0.0.0/9","Backend":{"Type":"vxlan"}}');
  const lease = { key: '10.0.0.0-24', subnet4: parsePrefix('10.0.0.0/24'), isPermanent: true, revision: '1',
    attributes: { backendType: 'vxlan' } };
  for (const round of JSON.parse(readFileSync(folder + '/rounds', 'utf8'))) {
    for (const [name, text] of round) writeFileSync(folder + '/subnets/' + name, text);
    membership.begin(await registry.list(), { config, own: { lease } });
  }`;

test(`${LEASES} hostile leases, changed five times, take a few lines of the log`, (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'weft-ignored-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(path.join(folder, 'subnets'));
  const key = (i: number): string => `10.${1 + (i >> 8)}.${i & 255}.0-24`;
  for (let i = 0; i < LEASES; i++) writeFileSync(path.join(folder, 'subnets', key(i)), value(i, 0));
  writeFileSync(path.join(folder, 'subnets', '10.200.1.0-24'), value(1, 0)); // outside Network
  writeFileSync(path.join(folder, 'subnets', '10.3.0.0-24\n<0>forged \u001b[2J'), value(0, 0));
  const rounds = [1, 2, 3, 4, 5].map((round) =>
    Array.from({ length: 12 }, (_, i) => [key(i), value(i, round)]),
  );
  writeFileSync(path.join(folder, 'rounds'), JSON.stringify(rounds));
  const args = ['--input-type=module', '-e', PROGRAM, folder, 'text'];
  const { stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr.slice(0, 2_000));
  assert.equal(activeIn(stderr), '');
  const lines = stderr.trimEnd().split('\n');
  assert.ok(lines.length <= 5, `${lines.length} lines`);
  assert.ok(stderr.length <= 10_000, `${stderr.length} characters`);
  for (const kind of [
    'that can not be read',
    'without a public address',
    'outside the network',
    'with a public address inside the overlay',
    'of another backend type',
    'with data that the backend can not use',
  ])
    assert.match(stderr, new RegExp(`2\\d{3} leases ignored: .*\\d+ ${kind}`), kind);
});
