/** Completion scripts in real shells. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createProgram } from '../../src/cli/commands/all.ts';
import { weftCompletion } from '../../src/cli/commands/completion.ts';
import { renderCompletion, SHELLS, type Shell } from '../../src/cli/completion/shells.ts';
import { weftdCompletion } from '../../src/cli/completion/weftd.ts';
import { needs } from '../support/needs.ts';

const { after, before, describe, it } = needs('zsh', 'fish');

describe('completion', () => {
  let folder: string;
  const script = (shell: Shell): string => path.join(folder, `weft.${shell}`);
  const run = (shell: Shell, ...args: string[]): string => {
    const env = { ...process.env, HOME: folder, PATH: `${folder}:${process.env['PATH']}` };
    const { status, stdout, stderr } = spawnSync(shell, args, { encoding: 'utf8', env });
    assert.equal(status, 0, `${shell}: ${stderr}`);
    assert.equal(stderr, '', shell);
    return stdout;
  };
  /** What bash offers behind these words, the last one unfinished. */
  const bash = (...words: string[]): string[] => {
    const list = words.map((word) => `'${word}'`).join(' ');
    const call = `source ${script('bash')}; COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _${words[0]}; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return run('bash', '-c', call).trim().split('\n');
  };
  const fish = (line: string): string[] =>
    run('fish', '-c', `source ${script('fish')}; complete -C '${line}'`)
      .trim()
      .split('\n')
      .map((answer) => answer.split('\t')[0] as string);

  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'weft-completion-'));
    const programs = [weftCompletion(createProgram(() => undefined)), weftdCompletion()];
    // A command with a peer as argument asks `weft peers`: this one answers without a daemon.
    const answer =
      '{"peers":[{"key":"a","publicIp":"192.0.2.2"},{"key":"b","publicIp":"192.0.2.3"}]}';
    writeFileSync(path.join(folder, 'weft'), `#!/bin/sh\necho '${answer}'\n`);
    chmodSync(path.join(folder, 'weft'), 0o755);
    for (const shell of SHELLS) writeFileSync(script(shell), renderCompletion(shell, programs));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('every shell accepts its script', () => {
    for (const shell of SHELLS) run(shell, '-n', script(shell));
  });

  it('bash: commands, nested commands, options and their values', () => {
    assert.deepEqual(bash('weft', 'stat'), ['status']);
    assert.deepEqual(bash('weft', 'routes', 'g'), ['get']);
    assert.deepEqual(bash('weft', 'completion', ''), ['bash', 'zsh', 'fish', '-h', '--help']);
    assert.deepEqual(bash('weft', 'config', 'check', '--net'), ['--net-config']);
    assert.deepEqual(bash('weft', 'status', '--color', 'al'), ['always']);
    assert.deepEqual(bash('weft', 'status', '--color', '=', 'n'), ['never']);
    assert.deepEqual(bash('weft', 'peers', '--json', '--wat'), ['--watch']);
    assert.deepEqual(bash('weftd', '--source-check', '=', ''), ['lease', 'vtep', 'off']);
    assert.deepEqual(bash('weftd', '--ip-masq', '--iface-r'), ['--iface-regex']);
  });

  it('bash and fish: a peer is completed from what the daemon says', () => {
    assert.deepEqual(bash('weft', 'bench', '192.0.2.'), ['192.0.2.2', '192.0.2.3']);
    assert.deepEqual(bash('weft', 'bench', '--tok'), ['--token']);
    const offered = fish('weft bench 192');
    assert.deepEqual(offered, ['192.0.2.2', '192.0.2.3']);
  });

  it('fish: the same', () => {
    assert.deepEqual(fish('weft stat'), ['status']);
    assert.deepEqual(fish('weft routes '), ['get']);
    assert.deepEqual(fish('weft config check --net'), ['--net-config']);
    assert.deepEqual(fish('weft status --color n'), ['never']);
    assert.deepEqual(fish('weftd --log-level w'), ['warn']);
  });

  it('zsh: the completion system takes the script', () => {
    const call = `autoload -Uz compinit; compinit -D -u; source ${script('zsh')}; print $_comps[weft] $_comps[weftd]`;
    assert.equal(run('zsh', '-f', '-c', call).trim(), '_weft _weft');
  });
});
