/**
 * node unpack.mjs SUITE FOLDER PACKAGE...: unpacks Debian packages of a suite into FOLDER. Nothing is installed and no service is
 * started. Prints "NAME VERSION" for each.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { aptIn, unpackPackages } from '../../lab/kubernetes/apt.mjs';

const [suite, folder, ...packages] = process.argv.slice(2);
const work = `${folder}.work`;
const downloads = path.join(work, 'downloads');
mkdirSync(downloads, { recursive: true });
try {
  const apt = aptIn(work, downloads, { suite, what: 'what bench:net measures' });
  unpackPackages(apt, packages, downloads, folder);
  const format = '--showformat=${Package} ${Version}\n';
  for (const name of readdirSync(downloads).filter((each) => each.endsWith('.deb')))
    process.stdout.write(execFileSync('dpkg-deb', ['-W', format, path.join(downloads, name)]));
} finally {
  rmSync(work, { recursive: true, force: true });
}
