/** Rules of the tree that no compiler checks. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { renderDoctorPage } from '../../src/cli/doctor/page.ts';
import { renderDrops } from '../../src/cli/drops-page.ts';
import { KINDS } from '../../src/cluster/kinds/all.ts';
import { projectRoot } from '../../src/shared/root.ts';

const root = projectRoot();
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

function filesUnder(folder: string, ...endings: string[]): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === 'build' ? [] : filesUnder(name, ...endings);
    return endings.some((ending) => name.endsWith(ending)) ? [name] : [];
  });
}

/** Which folders of src/ each folder may import from, besides itself: the order of the house, from the ground up. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  shared: [],
  wire: ['shared'],
  memory: ['shared'],
  dataplane: ['shared', 'wire', 'memory'],
  cluster: ['shared', 'wire', 'memory'],
  options: ['shared', 'wire', 'memory', 'cluster'],
  host: ['shared', 'wire', 'memory', 'cluster', 'options'],
  api: ['shared', 'wire', 'memory', 'cluster', 'options', 'host'],
  control: ['shared', 'wire', 'memory', 'cluster', 'options', 'host', 'api'],
  cli: ['shared', 'wire', 'memory', 'cluster', 'options', 'host', 'api'],
};

/** Imports of a source text that run against the order, type imports included; `file` is relative to the project. */
function importsAgainstTheOrder(file: string, text: string): string[] {
  const room = file.split('/')[1] as string;
  return [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].flatMap(([, target = '']) => {
    const reached = path.join(path.dirname(file), target);
    const [top, other = ''] = reached.split('/');
    const isAllowed = top === 'src' && (other === room || ALLOWED[room]?.includes(other));
    return isAllowed ? [] : [`${file} imports ${reached}`];
  });
}

test('imports point one way, type imports included', () => {
  const found = filesUnder('src', '.ts').flatMap((file) =>
    importsAgainstTheOrder(file, read(file)),
  );
  assert.deepEqual(found, []);
});

test('an import against the order is found: by value, by type, at run time, out of src', () => {
  const file = 'src/cli/commands/status.ts';
  for (const text of [
    "import { Daemon } from '../../control/daemon.ts';",
    "import type { Daemon } from '../../control/daemon.ts';",
    "const { Daemon } = await import('../../control/daemon.ts');",
    "export { Daemon } from '../../control/daemon.ts';",
    "import { Lab } from '../../../lab/lab.ts';",
  ])
    assert.equal(importsAgainstTheOrder(file, `${read(file)}\n${text}\n`).length, 1, text);
  const wire = "import { DROP } from '../memory/drops.ts';";
  assert.equal(importsAgainstTheOrder('src/wire/ip.ts', wire).length, 1);
});

/** Comparisons of something with a Backend.Type in a source text. */
function comparisonsWithType(text: string): string[] {
  const type = `'(?:${KINDS.map((kind) => kind.type).join('|')})'`;
  const forms = [
    `(?:[!=]=|\\bcase)\\s*${type}`,
    `${type}\\s*[!=]=`,
    `\\[[^\\]]*${type}[^\\]]*\\]\\.(?:includes|indexOf)\\(`,
  ];
  return text.match(new RegExp(forms.join('|'), 'g')) ?? [];
}

/** Where such words are not Backend.Types: the data plane calls its own encapsulations by them. */
const NOT_TYPES = ['src/cluster/kinds/', 'src/dataplane/'];

test('nobody but the kinds compares a Backend.Type', () => {
  const files = [...filesUnder('src', '.ts', '.js'), ...filesUnder('lab', '.ts')];
  const found = [...files, ...filesUnder('bench', '.ts')].filter(
    (file) =>
      !NOT_TYPES.some((folder) => file.startsWith(folder)) &&
      comparisonsWithType(read(file)).length > 0,
  );
  assert.deepEqual(found, []);
});

test('a comparison with a Backend.Type is found in every form', () => {
  for (const text of [
    "if (backend.type === 'vxlan') return;",
    "if (type != 'host-gw') return;",
    "const isUdp = 'udp' === backend.type;",
    "switch (backend.type) {\n  case 'alloc':",
    "if (['vxlan', 'extension'].includes(backend.type)) return;",
    "return backend.type !==\n  'extension'",
  ])
    assert.equal(comparisonsWithType(text).length, 1, text);
  for (const text of [
    "const lease = { backendType: 'vxlan' };",
    "buildPacket({ protocol: 'udp' });",
    "if (linkinfo?.info_kind === 'tun') return;",
    "if (kind.type === 'udp-echo') return;",
  ])
    assert.deepEqual(comparisonsWithType(text), [], text);
});

test('lines have a limit, files are cut by idea and have none; nothing is left open', () => {
  const files = [...filesUnder('src', '.ts', '.js', '.css'), ...filesUnder('native', '.c', '.h')];
  for (const file of files) {
    const lines = read(file).split('\n');
    for (const line of lines) assert.ok(line.length <= 170, `${file}: ${line}`);
    const open = ['TO', 'FIX', 'XX'].map((word, i) => word + ['DO', 'ME', 'X'][i]);
    assert.ok(!open.some((word) => read(file).includes(word)), file);
  }
});

/** Who needs the time of day, of all that runs for long: times that people read, and ends that a store or another node wrote down. */
const ASK_THE_CALENDAR: ReadonlySet<string> = new Set([
  'src/shared/clock.ts',
  // for people
  'src/control/daemon.ts',
  'src/control/membership/store-health.ts',
  'src/control/observe/self-watch.ts',
  'src/cluster/kubernetes/node-events.ts',
  'src/cluster/kubernetes/own-node.ts',
  // what CLOCK_MONOTONIC said, for people
  'src/control/fast-path/fast-path.ts',
  'src/control/observe/monotonic.ts',
  'src/control/observe/peer-ledger.ts',
  // ends of leases, times of files
  'src/cluster/lease/acquire.ts',
  'src/cluster/remember/remembering-registry.ts',
  'src/cluster/store/etcd.ts',
  'src/cluster/store/file-clock.ts',
  'src/cluster/store/file-leases.ts',
  'src/cluster/store/file-watch.ts',
  'src/cluster/store/file.ts',
  'src/cluster/store/keyed-lease.ts',
  'src/cluster/store/keyed-registry.ts',
  'src/host/cni-addresses.ts',
  // a library's deadline
  'src/cluster/store/etcd-session.ts',
]);

test('how long something lasts is measured by a clock that nobody sets', () => {
  const asking = filesUnder('src', '.ts')
    .filter((file) => !file.startsWith('src/cli/'))
    .filter((file) => /Date\.now\(|\bnowMs\(\)/.test(read(file)));
  assert.deepEqual(
    asking.filter((file) => !ASK_THE_CALENDAR.has(file)),
    [],
    'a span of time there ends wrongly when the time is set: use monotonicMs() or performance.now()',
  );
  assert.equal(asking.length, ASK_THE_CALENDAR.size, 'the list names a file that asks no more');
});

test('the sources export by name only', () => {
  for (const file of filesUnder('src', '.ts'))
    assert.doesNotMatch(read(file), /^export default/m, file);
});

test('every dependency has its reason, and the lockfile names no host', () => {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(read('package.json'));
  const page = read('docs/reference/dependencies.md');
  const listed = [...page.matchAll(/^\| (\S+) \|/gm)]
    .map((match) => match[1])
    .filter((n) => n !== 'package');
  const all = { ...dependencies, ...devDependencies, ...optionalDependencies };
  assert.deepEqual(listed.sort(), Object.keys(all).sort());
  assert.doesNotMatch(read('package-lock.json'), /"resolved": "https?:/);
});

test('a package that is loaded late is not joined into the program, where its names may be lost', () => {
  const [, external = ''] = /^const EXTERNAL = \[(.*)\];$/m.exec(read('scripts/bundle.mjs')) ?? [];
  for (const file of filesUnder('src', '.ts'))
    for (const [, name] of read(file).matchAll(/await import\('([^.'][^']*)'\)/g))
      assert.ok(external.includes(`'${name}'`), `${file}: ${name}`);
});

test('the page of drop reasons is up to date', () => {
  assert.equal(read('docs/reference/drops.md'), renderDrops());
});

test("the page of the doctor's checks is up to date", () => {
  assert.equal(read('docs/reference/doctor.md'), renderDoctorPage());
});

test('the changelog has the form of Keep a Changelog, and a section for the version', () => {
  const [head = '', ...sections] = read('CHANGELOG.md').split(/^## /m);
  assert.match(head, /^# Changelog\n\n/);
  assert.match(sections[0] ?? '', /^\[Unreleased\]\n/);
  const versions = sections.slice(1).map((text) => {
    const [, version = '', date = ''] =
      /^\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)\n/.exec(text) ?? [];
    assert.notEqual(version, '', `## ${text.split('\n')[0]}`);
    return { version, date };
  });
  assert.ok(versions.some(({ version }) => version === JSON.parse(read('package.json')).version));
  const number = (text: string) => text.split('.').reduce((sum, part) => sum * 1000 + +part, 0);
  const newestFirst = [...versions].sort((a, b) => number(b.version) - number(a.version));
  assert.deepEqual(versions, newestFirst);
  assert.deepEqual(
    [...versions].sort((a, b) => b.date.localeCompare(a.date)),
    versions,
  );
  const kinds = 'Added Changed Deprecated Removed Fixed Security'.split(' ');
  for (const section of sections) {
    const [, ...blocks] = section.split(/^### /m);
    const names = blocks.map((block) => block.slice(0, block.indexOf('\n')));
    assert.deepEqual(
      names,
      kinds.filter((kind) => names.includes(kind)),
    );
    for (const block of blocks) assert.match(block, /^\w+\n\n(?:- \S.*\n(?: {2}\S.*\n)*)+\n?$/);
  }
});

test('no merge left its marks', () => {
  const folders = ['src', 'native', 'lab', 'test', 'bench', 'docs', 'deploy', 'scripts'];
  const endings = ['.ts', '.js', '.mjs', '.c', '.h', '.md', '.css', '.json', '.yaml', '.service'];
  for (const file of [...folders.flatMap((name) => filesUnder(name, ...endings)), 'README.md'])
    assert.doesNotMatch(read(file), /^(?:<{7}|>{7}) /m, file);
});
