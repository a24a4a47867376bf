/** Options of parts that do not exist yet, and the checks behind the parser. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { helpText, parseFlags } from '../../src/control/config/flags.ts';
import { environmentName, OPTIONS } from '../../src/control/config/options.ts';
import { settingsWarnings, toSettings } from '../../src/control/config/settings.ts';

const STORE = '--store=file:/s';
const parse = (...words: string[]) => {
  const parsed = parseFlags(words, {});
  assert.ok(parsed.kind === 'run');
  return parsed.values;
};

test('the option table: unique names, an environment variable and help for each', () => {
  const names = OPTIONS.map((option) => option.name);
  assert.equal(new Set(names).size, names.length);
  const help = helpText();
  for (const option of OPTIONS) {
    assert.match(environmentName(option), /^FLANNELD_[A-Z0-9_]+$/);
    assert.ok(help.includes(`--${option.name} `), option.name);
  }
  assert.ok(help.indexOf('--etcd-prefix') < help.indexOf('--admin-socket'), "flannel's first");
});

test('what asks for a missing part is refused by name; what only tunes it is warned about', () => {
  for (const words of [['--ip-masq'], ['--healthz-port=8081'], ['--ip-blackhole-route']]) {
    const name = words[0]?.slice(2).split('=')[0] as string;
    assert.throws(() => toSettings(parse(STORE, ...words)), {
      exitCode: 2,
      message: new RegExp(name),
    });
  }
  const kubernetes = parse(STORE, '--kube-subnet-mgr');
  assert.throws(() => toSettings(kubernetes), { exitCode: 69, message: /--store=file:/ });
  const tuned = parse(STORE, '--etcd-prefix=/x', '--iptables-resync=9', '--vmodule=a=1');
  toSettings(tuned);
  assert.deepEqual(
    settingsWarnings(tuned).map((line) => line.split(' ')[0]),
    ['--etcd-prefix', '--iptables-resync', '--vmodule'],
  );
  assert.deepEqual(settingsWarnings(parse(STORE)), []);
});

test('workers, levels, patterns and addresses are checked', () => {
  assert.ok(toSettings(parse(STORE, '--workers=auto')).workers >= 1);
  assert.equal(toSettings(parse(STORE, '--workers=3')).workers, 3);
  assert.equal(toSettings(parse(STORE, '--log-level=warn')).logLevel, 'warn');
  assert.equal(toSettings(parse(STORE, '-v=1')).logLevel, 'debug');
  for (const bad of [
    '--workers=0',
    '--log-level=loud',
    '--iface-regex=(',
    '--iface-can-reach=example.org',
    '--source-check=no',
    '--offload=constructor',
    '--store=redis',
  ]) {
    const name = bad.slice(2).split('=')[0] as string;
    assert.throws(() => toSettings(parse(STORE, bad)), { exitCode: 2, message: new RegExp(name) });
  }
});

test('Go stops at the first word that is no flag', () => {
  for (const end of ['word', '-', '--']) assert.equal(parse('-v=2', end, '-v=3')['v'], 2);
  assert.equal(parse('--version=false', '-v=2')['v'], 2);
});
