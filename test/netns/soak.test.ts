/** The soak, short and with a fixed seed: its judge sees real daemons, and finds nothing. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { run } from '../../lab/command.ts';
import type { SoakResult } from '../../lab/soak/result.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { temporaryFolder } from '../support/folder.ts';
import { needs } from '../support/needs.ts';

const { describe, it } = needs('root');

const PROGRAM = path.join(projectRoot(), 'dist/lab/soak/main.js');
/** Chosen for its schedule: a restart, a kill, a store that is away and one that is wiped. */
const [MINUTES, SEED] = [2, 27];

describe('netns: the soak', () => {
  it('of two minutes with a fixed seed loses nothing that no fault explains, and leaves nothing', async (t) => {
    const file = path.join(await temporaryFolder(t), 'soak.json');
    const words = ['--minutes', MINUTES, '--seed', SEED, '--json', file].map(String);
    const { code, stdout, stderr } = await run(process.execPath, [PROGRAM, ...words], {
      timeoutMs: 800_000,
      allowFailure: true,
    });
    assert.equal(code, 0, `${stderr}\n${stdout}`);
    const result = JSON.parse(readFileSync(file, 'utf8')) as SoakResult;
    assert.deepEqual([result.ok, result.violations, result.seed], [true, [], SEED]);
    assert.ok(result.packets.sent > 10_000 && result.steps.done > 0, stdout);
    assert.ok(result.side.transfers > 0 && result.churn.changes > 0, stdout);
  });
});
