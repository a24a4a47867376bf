/** Packages and sources of one Debian suite, fetched and unpacked without installing anything on the machine. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** The newest suite whose source package of Kubernetes has more in it than kubectl; for what it serves, in messages. */
const KUBERNETES = { suite: 'bookworm', what: 'what tests need of Kubernetes' };

/**
 * apt with lists and sources of its own, up to date; servers, proxies, keys and passwords are the machine's. What it downloads lands in
 * `downloads`. `purpose`: the suite, and what for.
 */
export function aptIn(work, downloads, purpose = KUBERNETES) {
  const { suite, what } = purpose;
  const folder = path.join(work, 'apt');
  for (const each of ['lists/partial', 'cache/archives/partial'])
    mkdirSync(path.join(folder, each), { recursive: true });
  const sources = path.join(folder, 'sources.list');
  writeFileSync(sources, sourcesList(purpose));
  const settings = [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::lists=${path.join(folder, 'lists')}`,
    `Dir::Cache=${path.join(folder, 'cache')}`,
    'APT::Sandbox::User=root',
    'Acquire::Languages=none',
    'Acquire::Retries=3',
  ];
  const apt = (words, failure) => {
    try {
      run('apt-get', ['-qq', ...settings.flatMap((each) => ['-o', each]), ...words], {
        cwd: downloads,
      });
    } catch (error) {
      throw new Error(`${failure}: ${what} comes from Debian ${suite}; ${error.message}`);
    }
  };
  apt(['update'], "its lists can't be had from where this machine's apt gets its own");
  return apt;
}

/** Unpacks these packages, without what they depend on, below `root`. */
export function unpackPackages(apt, packages, downloads, root) {
  apt(['download', ...packages], `no package ${packages.join(' or ')}`);
  const files = readdirSync(downloads).filter((name) => name.endsWith('.deb'));
  for (const file of files) run('dpkg', ['-x', path.join(downloads, file), root]);
}

/** Packages and sources of the suite, from where this machine gets its Debian. */
function sourcesList({ suite, what }) {
  const format = '$(CREATED_BY) $(ORIGIN) $(COMPONENT) $(CODENAME) $(REPO_URI)';
  const lines = run('apt-get', ['indextargets', '--format', format]).split('\n');
  const debian = lines
    .map((line) => line.split(' '))
    .filter(
      ([by, origin, component]) => by === 'Packages' && origin === 'Debian' && component === 'main',
    )
    .map(([, , , codename, uri]) => ({ codename, uri }));
  // Updates and security have places of their own, where there is no such source.
  const main =
    debian.find(({ codename }) => codename === suite) ??
    debian.find(({ codename }) => !codename.includes('-'));
  if (!main)
    throw new Error(
      `apt has no list of a Debian: ${what} comes from Debian ${suite}; on Debian, run apt-get update`,
    );
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  const signed = existsSync(keyring) ? `[signed-by=${keyring}] ` : '';
  return ['deb', 'deb-src'].map((type) => `${type} ${signed}${main.uri} ${suite} main\n`).join('');
}

/** What the command printed; throws with its last words. */
export function run(command, words, options = {}) {
  try {
    const stdio = ['ignore', 'pipe', 'pipe'];
    return execFileSync(command, words, {
      stdio,
      maxBuffer: 64 << 20,
      encoding: 'utf8',
      ...options,
    });
  } catch (error) {
    if (error.code === 'ENOENT') throw new Error(`missing command: ${command}`);
    const said = String(error.stderr ?? '')
      .trim()
      .split('\n')
      .slice(-5)
      .join('\n  ');
    throw new Error(`${path.basename(command)} ${words[0]}: ${said || error.message}`);
  }
}
