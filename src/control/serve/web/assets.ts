/** The files of the web page, as they are installed (scripts/bundle.mjs). */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from '../../../shared/root.ts';

export interface Asset {
  type: string;
  body: Buffer;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
};

/** All files by the path under which they are served; read once, so that no request names a file. */
export function loadAssets(): ReadonlyMap<string, Asset> {
  const folder = path.join(projectRoot(), 'dist/program/assets');
  const assets = new Map<string, Asset>();
  for (const name of readdirSync(folder)) {
    const type = TYPES[path.extname(name)];
    if (type === undefined) continue;
    const served = name === 'index.html' ? '/' : `/assets/${name}`;
    assets.set(served, { type, body: readFileSync(path.join(folder, name)) });
  }
  return assets;
}
