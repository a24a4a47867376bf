/**
 * How the components of Kubernetes are made from Debian's source package, with Debian's Go: the last Debian source that is whole. Nothing
 * is installed on the machine. A change of this file makes everybody build anew.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { aptIn, run, unpackPackages } from './apt.mjs';
import { fetchRuntime, RUNTIME } from './runtime.mjs';

export const VERSION = '1.20.2';
export const COMPONENTS = [
  'kube-apiserver',
  'kube-controller-manager',
  'kubelet',
  'kube-scheduler',
  'kube-proxy',
  RUNTIME,
];
const REFLECT = 'github.com/modern-go/reflect2';
const PACKAGES = ['golang-1.19-go', 'golang-1.19-src', 'golang-github-modern-go-reflect2-dev'];
/** Neither cloud providers nor Docker: nobody here asks for them, and they are a third of the code. */
const TAGS = 'providerless dockerless';

/**
 * Builds the components into `out`, each under its own name as soon as it is whole. `work` keeps what is done, so that a build that was cut
 * off goes on; who calls removes it. `say` hears each step.
 */
export function build(components, work, out, say) {
  mkdirSync(work, { recursive: true });
  mkdirSync(out, { recursive: true });
  if (components.includes(RUNTIME)) fetchRuntime(work, out, say);
  const compiled = components.filter((name) => name !== RUNTIME);
  if (compiled.length === 0) return;
  once(work, 'sources', () => fetchSources(work, say));
  const go = goIn(work);
  once(work, 'openapi', () => generateOpenApi(work, go, say));
  for (const name of compiled) {
    say(`compiling ${name} (minutes, once for each user)`);
    const draft = path.join(work, name);
    const flags = ['-trimpath', '-tags', TAGS, '-ldflags', linkerFlags()];
    go(['build', ...flags, '-o', draft, `./cmd/${name}`]);
    renameSync(draft, path.join(out, name));
  }
}

/** A step whose end is written down. */
function once(work, name, step) {
  const stamp = path.join(work, `${name}.done`);
  if (existsSync(stamp)) return;
  step();
  writeFileSync(stamp, '');
}

function sourceFolder(work) {
  return path.join(work, 'gopath/src/k8s.io/kubernetes');
}

function fetchSources(work, say) {
  const downloads = path.join(work, 'downloads');
  const root = path.join(work, 'root');
  for (const folder of [downloads, root, path.join(work, 'gopath')])
    rmSync(folder, { recursive: true, force: true });
  mkdirSync(downloads, { recursive: true });
  say('downloading the source and Go (116 MB)');
  const apt = aptIn(work, downloads);
  unpackPackages(apt, PACKAGES, downloads, root);
  apt(['source', '--download-only', 'kubernetes'], 'no source package "kubernetes"');
  say('unpacking');
  const archive = readdirSync(downloads).find((name) =>
    /^kubernetes_.*\.orig\.tar\.gz$/.test(name),
  );
  const source = sourceFolder(work);
  mkdirSync(source, { recursive: true });
  const from = ['--extract', '--gzip', '--file', path.join(downloads, archive)];
  run('tar', [...from, '--strip-components=1', '--no-same-owner', '--directory', source]);
  replaceReflect(root, source);
  collectSandboxesSooner(source);
}

/** The copy of 1.20 was written for an older Go: built by this one, the server dies at the first map that it encodes. */
function replaceReflect(root, source) {
  const copy = path.join(source, 'vendor', REFLECT);
  rmSync(copy, { recursive: true });
  cpSync(path.join(root, 'usr/share/gocode/src', REFLECT), copy, { recursive: true });
}

/**
 * A kubelet of 1.20 lets a pod end only when its sandbox is gone, and often leaves that to its collector, which comes once a minute
 * (kubernetes issue 97288, mended later): a pod's replacement then takes 10 s or 70 s, by chance. This one collects every two seconds.
 */
function collectSandboxesSooner(source) {
  const file = path.join(source, 'pkg/kubelet/kubelet.go');
  const text = readFileSync(file, 'utf8');
  const changed = text.replace(
    'ContainerGCPeriod = time.Minute',
    'ContainerGCPeriod = 2 * time.Second',
  );
  if (changed === text) throw new Error(`${file}: no period of the collector`);
  writeFileSync(file, changed);
}

/** Runs the unpacked Go in the unpacked source; `cwd` is the source. */
function goIn(work) {
  const root = path.join(work, 'root/usr/lib/go-1.19');
  const temporary = path.join(work, 'tmp');
  mkdirSync(temporary, { recursive: true });
  const env = {
    ...process.env,
    GOROOT: root,
    GOPATH: path.join(work, 'gopath'),
    GOCACHE: path.join(work, 'go-cache'),
    GOTMPDIR: temporary,
    GOENV: 'off',
    GOFLAGS: '',
    GOPROXY: 'off',
    GO111MODULE: 'off',
    CGO_ENABLED: '0',
  };
  const go = path.join(root, 'bin/go');
  return (words, command = go) => run(command, words, { cwd: sourceFolder(work), env });
}

/** The one generated file that the source package lacks. */
function generateOpenApi(work, go, say) {
  say('generating what the source package lacks');
  const generator = path.join(work, 'openapi-gen');
  go(['build', '-o', generator, 'k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen']);
  const packages = openApiPackages(sourceFolder(work));
  const where = ['-p', 'k8s.io/kubernetes/pkg/generated/openapi', '-O', 'zz_generated.openapi'];
  const header = ['-h', 'vendor/k8s.io/code-generator/hack/boilerplate.go.txt'];
  const report = ['-r', path.join(work, 'openapi-violations')];
  go(['-i', packages.join(','), ...where, ...header, ...report], generator);
}

/** Import paths of all packages that ask for it in a comment. */
function openApiPackages(source) {
  const folders = new Set();
  for (const top of ['cmd', 'pkg', 'plugin', 'staging/src/k8s.io'])
    for (const entry of readdirSync(path.join(source, top), { recursive: true })) {
      const file = path.join(top, entry);
      if (!file.endsWith('.go') || file.endsWith('_test.go')) continue;
      if (/code-generator|sample-apiserver|_examples/.test(file)) continue;
      if (readFileSync(path.join(source, file), 'utf8').includes('+k8s:openapi-gen='))
        folders.add(path.dirname(file));
    }
  return [...folders]
    .sort()
    .map((folder) => `k8s.io/kubernetes/${folder.replace(/^staging\/src\//, 'vendor/')}`);
}

function linkerFlags() {
  const [major, minor] = VERSION.split('.');
  const values = {
    gitVersion: `v${VERSION}`,
    gitMajor: major,
    gitMinor: minor,
    gitTreeState: 'clean',
  };
  const places = ['component-base/version', 'client-go/pkg/version'];
  const settings = places.flatMap((place) =>
    Object.entries(values).map(
      ([name, value]) => `-X k8s.io/kubernetes/vendor/k8s.io/${place}.${name}=${value}`,
    ),
  );
  return ['-s', '-w', ...settings].join(' ');
}
