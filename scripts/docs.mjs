/** Writes the pages that come from tables in the sources (after a build). */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { renderDoctorPage } from '../dist/src/cli/doctor/page.js';
import { renderDrops } from '../dist/src/cli/drops-page.js';
import { renderManPage, renderOptionsPage } from '../dist/src/control/config/options-page.js';
import { programVersion } from '../dist/src/shared/version.js';

const docs = path.join(import.meta.dirname, '../docs');
mkdirSync(path.join(docs, 'man'), { recursive: true });
writeFileSync(path.join(docs, 'reference/drops.md'), renderDrops());
writeFileSync(path.join(docs, 'reference/doctor.md'), renderDoctorPage());
writeFileSync(path.join(docs, 'reference/options.md'), renderOptionsPage());
writeFileSync(path.join(docs, 'man/weftd.8'), renderManPage(programVersion()));
