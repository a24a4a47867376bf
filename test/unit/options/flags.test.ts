/** Flags in every Go spelling, and the environment. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFlags } from '../../../src/options/flags.ts';
import { OPTIONS } from '../../../src/options/options.ts';
import { toSettings } from '../../../src/options/settings.ts';

const values = (...args: string[]) => {
  const parsed = parseFlags(args, {});
  assert.equal(parsed.kind, 'run');
  return parsed.kind === 'run' ? parsed.values : {};
};

test('FLG-1 every flag: one dash, two dashes, with = and as the next word', () => {
  for (const option of OPTIONS) {
    const text = option.kind === 'number' ? '7' : option.kind === 'bool' ? 'true' : 'x';
    const expected =
      option.kind === 'number'
        ? 7
        : option.kind === 'bool'
          ? true
          : option.kind === 'list'
            ? ['x']
            : 'x';
    assert.deepEqual(values(`-${option.name}=${text}`)[option.name], expected);
    assert.deepEqual(values(`--${option.name}=${text}`)[option.name], expected);
    if (option.kind !== 'bool')
      assert.deepEqual(values(`--${option.name}`, text)[option.name], expected);
  }
  assert.equal(values('-ip-masq', 'false')['ip-masq'], true, 'a boolean takes no separate word');
  assert.deepEqual(values('--iface=a', '-iface', 'b')['iface'], ['a', 'b']);
});

test('FLG-2, FLG-3, FLG-4 environment, renew margin, bad usage', () => {
  const environment = { FLANNELD_SUBNET_FILE: '/x', FLANNELD_PUBLIC_IP: '', FLANNELD_V: 'junk' };
  const parsed = parseFlags(['--subnet-file=/y'], environment);
  assert.ok(parsed.kind === 'run');
  assert.equal(parsed.values['subnet-file'], '/y');
  assert.equal(parsed.values['v'], 0);
  assert.equal(parsed.warnings.length, 1);
  const store = '--store=file:/s';
  for (const bad of ['0', '1440']) {
    assert.throws(() => toSettings(values(store, `--subnet-lease-renew-margin=${bad}`)), {
      exitCode: 1,
    });
  }
  for (const good of ['1', '1439'])
    toSettings(values(store, `--subnet-lease-renew-margin=${good}`));
  assert.throws(() => values('--nonsense=1'), { exitCode: 2, message: /nonsense/ });
  assert.throws(() => values('--workers=x'), { exitCode: 2, message: /workers/ });
  assert.equal(toSettings(values()).store.kind, 'etcd');
  assert.equal(parseFlags(['-h'], {}).kind, 'help');
  assert.equal(parseFlags(['--version'], {}).kind, 'version');
});
