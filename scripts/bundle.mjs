/**
 * Joins what the compiler wrote to dist/src into dist/program: one file for each program and one for what they share, because to open and
 * link some 340 modules takes half of a command's time (docs/adr/0021). After a build.
 *   node scripts/bundle.mjs
 */
import { cpSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';

const root = path.join(import.meta.dirname, '..');
const folder = path.join(root, 'dist/program');
/** Takes its place whole, so that bin/ never meets half of it. */
const fresh = `${folder}.new`;
/**
 * Loaded from node_modules: what has files besides its modules (threads, .proto, an addon), what such packages share with us, and what is
 * CommonJS and loaded late, because its names are lost when it is joined.
 */
const EXTERNAL = ['@grpc/grpc-js', 'cockatiel', 'etcd3', 'piscina', 'raw-socket', 'yaml'];

rmSync(fresh, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: {
    weft: 'dist/src/cli/main.js',
    weftd: 'dist/src/control/main.js',
    worker: 'dist/src/dataplane/worker.js',
  },
  outdir: fresh,
  chunkNames: 'shared/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  external: EXTERNAL,
  // Packages that are CommonJS call it.
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module';\nconst require = requireFrom(import.meta.url);",
  },
  logLevel: 'warning',
});
cpSync(path.join(root, 'src/control/serve/web/assets'), path.join(fresh, 'assets'), {
  recursive: true,
});
rmSync(folder, { recursive: true, force: true });
renameSync(fresh, folder);
