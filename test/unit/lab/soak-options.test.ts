import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseSoakOptions, repeatCommand } from '../../../lab/soak/options.ts';
import { WeftError } from '../../../src/shared/errors.ts';

describe('parseSoakOptions', () => {
  it('has defaults, and a seed of its own', () => {
    assert.deepEqual(parseSoakOptions(['--minutes=5'], 42), {
      minutes: 5,
      seed: 42,
      store: 'etcd',
      fastPath: 'auto',
      links: 'on',
      list: false,
      help: false,
    });
  });

  it('reads all of it, in both spellings', () => {
    const words =
      '--minutes 30 --seed=0 --store file --fast-path off --links wire --json out.json --list'.split(
        ' ',
      );
    assert.deepEqual(parseSoakOptions(words, 42), {
      minutes: 30,
      seed: 0,
      store: 'file',
      fastPath: 'off',
      links: 'wire',
      list: true,
      help: false,
      json: 'out.json',
    });
    assert.equal(parseSoakOptions(['-h'], 1).help, true);
  });

  it('what it prints to repeat a run is read as the same run', () => {
    const options = parseSoakOptions(
      ['--minutes=7', '--seed=9', '--store=file', '--fast-path=on', '--links=off'],
      1,
    );
    const words = repeatCommand(options).split(' -- ')[1]?.split(' ') ?? [];
    assert.deepEqual(parseSoakOptions(words, 1), options);
  });

  const bad: [string, string[]][] = [
    ['--minutes', []],
    ['--minutes', ['--minutes=0']],
    ['--minutes', ['--minutes=1.5']],
    ['--minutes', ['--minutes=99999']],
    ['--seed', ['--minutes=1', '--seed=-1']],
    ['--seed', ['--minutes=1', '--seed=x']],
    ['--seed', ['--minutes=1', '--seed=9999999999']],
    ['--store', ['--minutes=1', '--store=redis']],
    ['--fast-path', ['--minutes=1', '--fast-path=yes']],
    ['--links', ['--minutes=1', '--links=slow']],
    ['--json', ['--minutes=1', '--json=']],
    ['--nonsense', ['--nonsense']],
    ['extra', ['--minutes=1', 'extra']],
  ];
  for (const [name, args] of bad)
    it(`refuses ${args.join(' ') || 'nothing'} with exit code 2 and names ${name}`, () => {
      assert.throws(
        () => parseSoakOptions(args, 1),
        (error: unknown) =>
          error instanceof WeftError && error.exitCode === 2 && error.message.includes(name),
      );
    });
});
