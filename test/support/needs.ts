/**
 * Tests that need more than an ordinary user on a bare machine has. Root always runs them: root's set-up installs every command.
 * Anybody else has each test that can't run skipped, so that it is counted and says what it needs.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import * as runner from 'node:test';
import { isInstalled, isRoot } from '../../lab/command.ts';

type Hook = (body: () => unknown) => void;
interface Runner {
  describe: (name: string, body: () => void) => void;
  it: (name: string, body: (t: runner.TestContext) => void | Promise<void>) => void;
  test: Runner['it'];
  before: Hook;
  after: Hook;
  afterEach: Hook;
}

const isThere = (thing: string): boolean =>
  path.isAbsolute(thing) ? existsSync(thing) : isInstalled(thing);

/** node:test, or a stand-in that skips every test. `things` are 'root', names of commands and whole paths of files. */
export function needs(...things: readonly string[]): Runner {
  const missing = isRoot() ? [] : things.filter((it) => it === 'root' || !isThere(it));
  if (missing.length === 0) return runner;
  const skip = missing.includes('root')
    ? 'needs root: run as root'
    : `needs ${missing.join(', ')}: install, or run as root`;
  const leave = (name: string): void => void runner.test(name, { skip });
  const nothing = (): void => undefined;
  return {
    describe: (name, body) => void runner.describe(name, body),
    it: leave,
    test: leave,
    before: nothing,
    after: nothing,
    afterEach: nothing,
  };
}
