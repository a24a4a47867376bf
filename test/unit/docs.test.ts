/** Pages that come from tables are up to date; the comparison with flannel leaves nothing out. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openApiText } from '../../src/api/openapi.ts';
import { createProgram } from '../../src/cli/commands/all.ts';
import { jsonSchemas, renderJsonPage } from '../../src/cli/json-page.ts';
import { renderCommandsPage, renderWeftPage } from '../../src/cli/man-page.ts';
import { OPTIONS } from '../../src/options/options.ts';
import {
  renderDefaults,
  renderManPage,
  renderOptionsPage,
} from '../../src/options/options-page.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { programVersion } from '../../src/shared/version.ts';

const page = (name: string): string => readFileSync(path.join(projectRoot(), 'docs', name), 'utf8');

test('options page and man page come from the option table', () => {
  assert.equal(page('reference/options.md'), renderOptionsPage());
  assert.equal(page('man/weftd.8'), renderManPage(programVersion()));
  assert.equal(page('../deploy/systemd/default'), renderDefaults());
});

test("pages about the command line come from the program's own commands", () => {
  const program = createProgram(() => undefined);
  assert.equal(page('man/weft.1'), renderWeftPage(program, programVersion()));
  assert.equal(page('reference/commands.md'), renderCommandsPage(program));
  assert.equal(page('reference/json.md'), renderJsonPage(program));
  const schemas = jsonSchemas(program);
  const files = readdirSync(path.join(projectRoot(), 'docs/reference/json'));
  assert.deepEqual(files.sort(), [...schemas.keys()].sort());
  for (const [name, text] of schemas) assert.equal(page(`reference/json/${name}`), text);
});

test('the OpenAPI document comes from the table of pages', () => {
  assert.equal(page('reference/openapi.json'), openApiText());
});

test('the picture of weft top is made of the recorded screen', () => {
  const script = path.join(projectRoot(), 'scripts/terminal-picture.mjs');
  const screen = path.join(projectRoot(), 'docs/images/top.ansi');
  const made = spawnSync(process.execPath, [script, screen, '-', 'weft top'], {
    encoding: 'utf8',
  });
  assert.equal(made.stdout, page('images/top.svg'));
});

test('the man page is plain troff', () => {
  for (const file of ['man/weftd.8', 'man/weft.1']) {
    const macros = page(file)
      .split('\n')
      .filter((line) => line.startsWith('.'));
    for (const line of macros)
      assert.match(line, /^\.(TH|SH|SS|TP|PP|B|I|BI|BR|RI|nf|fi) ?/, `${file}: ${line}`);
  }
});

test('compatibility: every flag of flannel, every config key, every known defect', () => {
  const text = page('reference/compatibility.md');
  for (const { name, group } of OPTIONS)
    if (group === 'flannel') assert.match(text, new RegExp(`\`${name}\``), name);
  const keys =
    'EnableIPv4 EnableIPv6 EnableNFTables Network SubnetLen SubnetMin SubnetMax IPv6Network IPv6SubnetLen IPv6SubnetMin IPv6SubnetMax ' +
    'VNI Port MTU GBP Learning DirectRouting PreStartupCommand PostStartupCommand SubnetAddCommand SubnetRemoveCommand';
  for (const key of keys.split(' ')) assert.match(text, new RegExp(`\`${key}\``), key);
  for (let id = 1; id <= 33; id++) assert.match(text, new RegExp(`A-${id}\\b`), `A-${id}`);
  assert.ok(text.indexOf('## Differences from flannel') < text.indexOf('## Flags'));
});
