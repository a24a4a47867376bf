/** Writes the pages that come from tables in the sources (after a build). */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { openApiText } from '../dist/src/api/openapi.js';
import { createProgram } from '../dist/src/cli/commands/all.js';
import { renderDoctorPage } from '../dist/src/cli/doctor/page.js';
import { renderDrops } from '../dist/src/cli/drops-page.js';
import { jsonSchemas, renderJsonPage } from '../dist/src/cli/json-page.js';
import { renderCommandsPage, renderWeftPage } from '../dist/src/cli/man-page.js';
import {
  renderDefaults,
  renderManPage,
  renderOptionsPage,
} from '../dist/src/options/options-page.js';
import { programVersion } from '../dist/src/shared/version.js';

const docs = path.join(import.meta.dirname, '../docs');
const schemaFolder = path.join(docs, 'reference/json');
const program = createProgram(() => undefined);
mkdirSync(path.join(docs, 'man'), { recursive: true });
mkdirSync(schemaFolder, { recursive: true });
writeFileSync(path.join(docs, 'reference/drops.md'), renderDrops());
writeFileSync(path.join(docs, 'reference/doctor.md'), renderDoctorPage());
writeFileSync(path.join(docs, 'reference/options.md'), renderOptionsPage());
writeFileSync(path.join(docs, 'reference/commands.md'), renderCommandsPage(program));
writeFileSync(path.join(docs, 'reference/json.md'), renderJsonPage(program));
writeFileSync(path.join(docs, 'reference/openapi.json'), openApiText());
writeFileSync(path.join(docs, 'man/weftd.8'), renderManPage(programVersion()));
writeFileSync(path.join(docs, '../deploy/systemd/default'), renderDefaults());
writeFileSync(path.join(docs, 'man/weft.1'), renderWeftPage(program, programVersion()));
const schemas = jsonSchemas(program);
for (const name of readdirSync(schemaFolder))
  if (!schemas.has(name)) rmSync(path.join(schemaFolder, name));
for (const [name, text] of schemas) writeFileSync(path.join(schemaFolder, name), text);
