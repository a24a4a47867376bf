import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseDemoOptions } from '../../../lab/demo/demo-options.ts';
import { WeftError } from '../../../src/shared/errors.ts';

describe('parseDemoOptions', () => {
  it('has defaults', () => {
    assert.deepEqual(parseDemoOptions([]), {
      backend: 'vxlan',
      store: 'file',
      json: false,
      keep: false,
      help: false,
    });
  });

  it('reads both spellings', () => {
    assert.equal(parseDemoOptions(['--store=etcd']).store, 'etcd');
    assert.equal(parseDemoOptions(['--store', 'kubernetes']).store, 'kubernetes');
    assert.equal(parseDemoOptions(['--backend', 'udp']).backend, 'udp');
    assert.equal(parseDemoOptions(['--workers=2', '--json']).workers, 2);
  });

  const bad: [string, string[]][] = [
    ['--backend', ['--backend=ipip']],
    ['--backend', ['--backend']],
    ['--store', ['--store=redis']],
    ['--store kubernetes', ['--store=kubernetes', '--backend=udp']],
    ['--store kubernetes', ['--store=kubernetes', '--workers=2']],
    ['--workers', ['--workers=0']],
    ['--workers', ['--workers=two']],
    ['--remove', ['--remove=../x']],
    ['--nonsense', ['--nonsense']],
    ['extra', ['extra']],
  ];
  for (const [name, args] of bad) {
    it(`refuses ${args.join(' ')} with exit code 2 and names ${name}`, () => {
      assert.throws(
        () => parseDemoOptions(args),
        (error: unknown) =>
          error instanceof WeftError && error.exitCode === 2 && error.message.includes(name),
      );
    });
  }
});
