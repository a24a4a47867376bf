/**
 * Builds dist/packages/weft_<version>_<arch>.deb: the same files as `weft install`, and maintainer scripts that look after user, service
 * and upgrade. The same sources give the same bytes.
 *   node scripts/package-debian.mjs [--version VERSION] [--out FOLDER]
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { DEFAULTS_FILE } from '../dist/src/cli/install/files.js';
import { stage } from '../dist/src/cli/install/stage.js';
import { programVersion } from '../dist/src/shared/version.js';

const root = path.join(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    version: { type: 'string', default: programVersion() },
    out: { type: 'string', default: path.join(root, 'dist/packages') },
  },
});

/** Seconds; without a given one the date of the newest commit, or a fixed day in an unpacked archive. */
function sourceDate() {
  if (process.env.SOURCE_DATE_EPOCH) return Number(process.env.SOURCE_DATE_EPOCH);
  try {
    const options = { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] };
    return Number(execFileSync('git', ['log', '-1', '--format=%ct'], options));
  } catch {
    return 1_767_225_600;
  }
}

function filesUnder(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort();
}

function control(tree, architecture) {
  const bytes = filesUnder(tree).reduce(
    (sum, file) => sum + lstatSync(path.join(tree, file)).size,
    0,
  );
  return [
    'Package: weft',
    `Version: ${values.version}`,
    `Architecture: ${architecture}`,
    'Maintainer: weft maintainers <maintainers@users.noreply.weft.example>',
    `Installed-Size: ${Math.ceil(bytes / 1024)}`,
    'Depends: nodejs (>= 20.19), iproute2, libc6, nftables | iptables',
    'Recommends: iputils-ping',
    'Section: net',
    'Priority: optional',
    'Description: flannel-compatible overlay network with a userspace data plane',
    ' weftd leases this node a pod subnet from etcd or a directory and carries pod',
    ' packets to the other nodes by itself, as VXLAN or flannel-UDP, without kernel',
    ' VXLAN. weft looks at it: status, peers, drops, ping, doctor, top, capture.',
    '',
  ].join('\n');
}

const POSTINST = `#!/bin/sh
set -e
if [ "$1" = configure ]; then
  if [ -x /usr/bin/systemd-sysusers ]; then systemd-sysusers weft.conf; fi
  if [ -x /usr/bin/systemd-tmpfiles ]; then systemd-tmpfiles --create weft.conf || true; fi
  if [ -d /run/systemd/system ]; then
    /usr/lib/systemd/systemd-sysctl 50-weft.conf || true
    systemctl daemon-reload
    # Who manages the network learns what to keep off.
    if [ -d /run/systemd/netif ]; then networkctl reload || true; fi
    if systemctl --quiet is-active NetworkManager; then systemctl reload NetworkManager || true; fi
    # An upgrade: the new version takes over device and sockets. Nothing is started that did not run.
    if [ -n "$2" ]; then systemctl try-restart weftd.service || true; fi
  fi
fi
`;

const PRERM = `#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl --no-reload disable --now weftd.service || true
  weft cleanup --keep-state || true
fi
`;

const POSTRM = `#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
if [ "$1" = purge ]; then rm -rf /var/lib/weft; fi
`;

const COPYRIGHT = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: weft

Files: *
License: Apache-2.0
 On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0.

Files: usr/lib/weft/dist/program/*
License: Apache-2.0 and others
Comment: Parts of packages of usr/lib/weft/node_modules are joined in, each with its licence there.

Files: usr/lib/weft/node_modules/*
License: various
 Each package has its licence beside it.

Files: usr/lib/weft/native/build/keeper/*
License: Apache-2.0
Comment: Linked statically with the GNU C library (LGPL-2.1 or later, /usr/share/common-licenses/LGPL-2.1).

Files: usr/lib/weft/native/build/cni/*
License: Apache-2.0
Comment: Linked statically with the GNU C library (LGPL-2.1 or later, /usr/share/common-licenses/LGPL-2.1)
 and with jansson (Copyright 2009-2014 Petri Lehtinen, 2011 Basile Starynkevitch, License: Expat):
 .
 Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
 documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
 rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to
 permit persons to whom the Software is furnished to do so, subject to the following conditions:
 .
 The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
 Software.
 .
 The software is provided "as is", without warranty of any kind, express or implied, including but not limited to the
 warranties of merchantability, fitness for a particular purpose and noninfringement. In no event shall the authors or
 copyright holders be liable for any claim, damages or other liability, whether in an action of contract, tort or
 otherwise, arising from, out of or in connection with the software or the use or other dealings in the software.
`;

function writeControl(tree, architecture) {
  const folder = path.join(tree, 'DEBIAN');
  const sums = filesUnder(tree).filter((file) => `/${file}` !== DEFAULTS_FILE);
  const md5 = (file) =>
    createHash('md5')
      .update(readFileSync(path.join(tree, file)))
      .digest('hex');
  const files = {
    control: [control(tree, architecture), 0o644],
    md5sums: [sums.map((file) => `${md5(file)}  ${file}\n`).join(''), 0o644],
    conffiles: [`${DEFAULTS_FILE}\n`, 0o644],
    postinst: [POSTINST, 0o755],
    prerm: [PRERM, 0o755],
    postrm: [POSTRM, 0o755],
  };
  mkdirSync(folder);
  for (const [name, [text, mode]] of Object.entries(files))
    writeFileSync(path.join(folder, name), text, { mode });
}

/** Modes that do not depend on the builder's umask, and one time for all. */
function settle(tree, seconds) {
  const entries = readdirSync(tree, { withFileTypes: true, recursive: true });
  for (const entry of entries) {
    const file = path.join(entry.parentPath, entry.name);
    if (entry.isDirectory()) chmodSync(file, 0o755);
    else if (entry.isFile() && `/${path.relative(tree, file)}` !== DEFAULTS_FILE)
      chmodSync(file, lstatSync(file).mode & 0o100 ? 0o755 : 0o644);
  }
  chmodSync(tree, 0o755);
  for (const entry of entries)
    lutimesSync(path.join(entry.parentPath, entry.name), seconds, seconds);
}

const tree = mkdtempSync(path.join(os.tmpdir(), 'weft-deb-'));
try {
  const options = { encoding: 'utf8' };
  const architecture = execFileSync('dpkg', ['--print-architecture'], options).trim();
  await stage(tree, () => undefined);
  const copyright = path.join(tree, 'usr/share/doc/weft/copyright');
  mkdirSync(path.dirname(copyright), { recursive: true });
  writeFileSync(copyright, COPYRIGHT);
  writeControl(tree, architecture);
  const seconds = sourceDate();
  settle(tree, seconds);
  mkdirSync(values.out, { recursive: true });
  const file = path.join(values.out, `weft_${values.version}_${architecture}.deb`);
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '--build', tree, file], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(seconds) },
    stdio: ['ignore', 'ignore', 2],
  });
  process.stdout.write(`${path.relative(process.cwd(), file)}\n`);
} finally {
  rmSync(tree, { recursive: true, force: true });
}
