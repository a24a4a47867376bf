/** CONTRIBUTING's recipes are true: applied to a copy of the tree they touch the files that they name, and what is added works. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';
import { filesNamedIn, inItsRoom, RECIPES, type Recipe } from '../support/recipes.ts';

const { after, before, describe, it } = needs();

const root = projectRoot();
const SOURCES = ['src', 'lab', 'test', 'bench', 'docs', 'deploy', 'scripts', 'bin'];
const FILES = ['package.json', 'tsconfig.json', 'CONTRIBUTING.md', 'CHANGELOG.md'];

describe('the recipes of CONTRIBUTING.md', () => {
  const copy = mkdtempSync(path.join(os.tmpdir(), 'weft-recipes-'));
  const inCopy = (file: string): string => path.join(copy, file);
  const read = (file: string): string => readFileSync(inCopy(file), 'utf8');
  const node = (...args: string[]): string =>
    execFileSync(process.execPath, args, { cwd: copy, encoding: 'utf8', stdio: 'pipe' });
  after(() => rmSync(copy, { recursive: true, force: true }));

  before(() => {
    for (const name of [...SOURCES, ...FILES])
      cpSync(path.join(root, name), inCopy(name), { recursive: true });
    for (const name of ['node_modules', 'native']) symlinkSync(path.join(root, name), inCopy(name));
    for (const recipe of RECIPES) apply(recipe);
    node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.json');
    node('scripts/bundle.mjs');
    node('scripts/docs.mjs');
  });

  function apply({ newFiles, lines }: Recipe): void {
    for (const { from, to } of newFiles) {
      mkdirSync(path.dirname(inCopy(to)), { recursive: true });
      writeFileSync(inCopy(to), inItsRoom(read(path.join('test/support', from))));
    }
    for (const { file, at, with: text } of lines) {
      assert.ok(read(file).includes(at), `${file} has a place for the line`);
      writeFileSync(
        inCopy(file),
        read(file).replace(at, () => text),
      );
    }
  }

  for (const { heading, newFiles, lines, generated } of RECIPES) {
    it(`${heading}: the files that it names are those that the sample touches`, () => {
      const touched = new Set([...newFiles.map(({ to }) => to), ...lines.map(({ file }) => file)]);
      const named = filesNamedIn(read('CONTRIBUTING.md'), heading);
      assert.deepEqual(named.sort(), [...touched, ...generated].sort());
    });
  }

  it('pages that nobody wrote by hand are those that the recipes name', () => {
    const changed = ['docs', 'deploy']
      .flatMap((folder) => differences(path.join(root, folder), inCopy(folder)))
      .map((file) => path.relative(copy, file));
    assert.deepEqual(changed.sort(), RECIPES.flatMap(({ generated }) => generated).sort());
  });

  it('the backend is one: the network config takes it, its class is made, other types are as they were', () => {
    assert.equal(
      run(`
        const { parseNetworkConfig } = await import('./dist/src/cluster/network-config.js');
        const { createBackend } = await import('./dist/src/control/backend/create.js');
        const text = '{"Network":"10.3.0.0/16","Backend":{"Type":"Toy","Colour":"blue"}}';
        const config = parseNetworkConfig(text);
        console.log(config.backend.colour, createBackend({ config }).constructor.name);`),
      'blue ToyBackend',
    );
  });

  it('the registry is one: --store names it', () => {
    assert.equal(
      run(`
        const { parseFlags } = await import('./dist/src/options/flags.js');
        const { toSettings } = await import('./dist/src/options/settings.js');
        const { createRegistry } = await import('./dist/src/cluster/create-registry.js');
        const { store } = toSettings(parseFlags(['--store=toy'], {}).values);
        console.log((await createRegistry(store, {})).name);`),
      'toy registry',
    );
  });

  it('the encapsulation is one: a task that names it is served', () => {
    assert.equal(
      run(`
        const { createEncap, ENCAPSULATIONS } = await import('./dist/src/dataplane/encap/encapsulations.js');
        const task = { kind: 'toy', port: 1, indexes: [] };
        console.log(createEncap(ENCAPSULATIONS, task, {}, {}).headerBytes);`),
      '4',
    );
  });

  it('the check and the drop reason are there for everybody who lists them', () => {
    assert.match(node('bin/weft', 'doctor', '--list'), /toy-check/);
    assert.equal(
      run(`
        const { sumBlocks } = await import('./dist/src/memory/counters.js');
        console.log(sumBlocks([]).drops.inbound.inToy);`),
      '0',
    );
  });

  it('rules of the tree and pages hold with all of them', () => {
    for (const name of ['tidy', 'docs']) node('--test', `dist/test/unit/${name}.test.js`);
  });

  function run(program: string): string {
    return node('--input-type=module', '-e', program).trim();
  }
});

/** Files of two equal folders that differ. */
function differences(before: string, after: string): string[] {
  try {
    execFileSync('diff', ['-rq', before, after], { encoding: 'utf8' });
    return [];
  } catch (error) {
    const { stdout } = error as { stdout: string };
    return [...stdout.matchAll(/^Files \S+ and (\S+) differ$/gm)].map(([, file = '']) => file);
  }
}
