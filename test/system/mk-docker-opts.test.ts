/** bin/mk-docker-opts.sh, by the name and with the options that units written for flannel have. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { projectRoot } from '../../src/shared/root.ts';
import { temporaryFolder } from '../support/folder.ts';
import { needs } from '../support/needs.ts';

const { test } = needs();

const ENV =
  'FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n';
const BIP = 'DOCKER_OPT_BIP="--bip=10.1.74.1/24"\n';
const MASQ = 'DOCKER_OPT_IPMASQ="--ip-masq=true"\n';
const MTU = 'DOCKER_OPT_MTU="--mtu=1472"\n';
const ALL = '=" --bip=10.1.74.1/24 --ip-masq=true --mtu=1472"\n';

test('mk-docker-opts.sh with every option, called through a link as in an image', async (t) => {
  const folder = await temporaryFolder(t);
  const [from, to] = [path.join(folder, 'subnet.env'), path.join(folder, 'docker.env')];
  const script = path.join(folder, 'mk-docker-opts.sh');
  symlinkSync(path.join(projectRoot(), 'bin/mk-docker-opts.sh'), script);
  const make = (...options: string[]) =>
    spawnSync(script, ['-f', from, '-d', to, ...options], { encoding: 'utf8' });
  const early = make();
  assert.deepEqual([early.status, existsSync(to)], [2, false]);
  assert.match(early.stderr, /subnet\.env.*start weftd first/);
  writeFileSync(from, ENV);
  for (const [options, written] of [
    [[], `${BIP}${MASQ}${MTU}DOCKER_OPTS${ALL}`],
    [['-i', '-c'], `${BIP}${MASQ}${MTU}DOCKER_OPTS${ALL}`],
    [['-i'], `${BIP}${MASQ}${MTU}`],
    [['-c'], `DOCKER_OPTS${ALL}`],
    [['-k', 'CUSTOM_KEY'], `${BIP}${MASQ}${MTU}CUSTOM_KEY${ALL}`],
    [['-m'], `${BIP}${MTU}DOCKER_OPTS=" --bip=10.1.74.1/24 --mtu=1472"\n`],
  ] as const) {
    const { status, stderr } = make(...options);
    assert.deepEqual([status, stderr, readFileSync(to, 'utf8')], [0, '', written]);
  }
});
