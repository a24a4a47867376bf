/** Writes docs/reference/drops.md from the table of drop reasons (after a build). */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { renderDrops } from '../dist/src/cli/drops-page.js';

writeFileSync(path.join(import.meta.dirname, '../docs/reference/drops.md'), renderDrops());
