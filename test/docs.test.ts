/** Pages that come from tables are up to date; the comparison with flannel leaves nothing out. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { OPTIONS } from '../src/control/config/options.ts';
import {
  renderDefaults,
  renderManPage,
  renderOptionsPage,
} from '../src/control/config/options-page.ts';
import { projectRoot } from '../src/shared/addon.ts';
import { programVersion } from '../src/shared/version.ts';

const page = (name: string): string => readFileSync(path.join(projectRoot(), 'docs', name), 'utf8');

test('options page and man page come from the option table', () => {
  assert.equal(page('reference/options.md'), renderOptionsPage());
  assert.equal(page('man/weftd.8'), renderManPage(programVersion()));
  assert.equal(page('../deploy/systemd/default'), renderDefaults());
});

test('the man page is plain troff', () => {
  for (const file of ['man/weftd.8', 'man/weft.1']) {
    const macros = page(file)
      .split('\n')
      .filter((line) => line.startsWith('.'));
    for (const line of macros)
      assert.match(line, /^\.(TH|SH|TP|PP|B|I|BI|BR|RI) ?/, `${file}: ${line}`);
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
