/** weft docker-opts: flannel's names and forms. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { renderDockerOpts } from '../../../src/cli/commands/docker-opts.ts';
import { main } from '../../../src/cli/main.ts';

const ENV =
  'FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n';
const ALL = { individual: false, combined: false, key: 'DOCKER_OPTS', masquerade: true };
const INDIVIDUAL =
  'DOCKER_OPT_BIP="--bip=10.1.74.1/24"\nDOCKER_OPT_IPMASQ="--ip-masq=false"\nDOCKER_OPT_MTU="--mtu=1472"\n';
const COMBINED = 'DOCKER_OPTS=" --bip=10.1.74.1/24 --ip-masq=false --mtu=1472"\n';

test('DKR-1, DKR-2, DKR-3, DKR-4, DKR-5 all forms', () => {
  assert.equal(renderDockerOpts(ENV, ALL), INDIVIDUAL + COMBINED);
  assert.equal(renderDockerOpts(ENV, { ...ALL, individual: true }), INDIVIDUAL);
  assert.equal(renderDockerOpts(ENV, { ...ALL, combined: true }), COMBINED);
  assert.equal(
    renderDockerOpts(ENV, { ...ALL, combined: true, key: 'CUSTOM_KEY' }),
    COMBINED.replace('DOCKER_OPTS', 'CUSTOM_KEY'),
  );
  assert.doesNotMatch(renderDockerOpts(ENV, { ...ALL, masquerade: false }), /ip-masq/);
  assert.match(renderDockerOpts(ENV.replace('=true', '=false'), ALL), /--ip-masq=true/);
  assert.throws(() => renderDockerOpts('FLANNEL_IPMASQ=true\n', ALL), /no FLANNEL_SUBNET/);
});

test('the command writes the file, and says what to do when there is no subnet file', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'weft-docker-'));
  try {
    const [from, to] = [path.join(folder, 'subnet.env'), path.join(folder, 'docker.env')];
    assert.equal(await main(['docker-opts', '-f', from, '-d', to]), 2);
    await writeFile(from, ENV);
    assert.equal(await main(['docker-opts', '-f', from, '-d', to, '-c', '-k', 'X']), 0);
    assert.equal(await readFile(to, 'utf8'), COMBINED.replace('DOCKER_OPTS', 'X'));
  } finally {
    await rm(folder, { recursive: true });
  }
});
