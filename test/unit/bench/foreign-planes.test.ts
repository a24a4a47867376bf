/** What the foreign overlays are told; whether it works is seen where the overlays are installed, by bench:net. */
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { describe, it } from 'node:test';
import { versionFrom } from '../../../bench/net/planes/daemon.ts';
import { fastdConfig } from '../../../bench/net/planes/fastd.ts';
import { foreignPlanes } from '../../../bench/net/planes/foreign.ts';
import { edgeArguments } from '../../../bench/net/planes/n2n.ts';
import { nebulaConfig } from '../../../bench/net/planes/nebula.ts';
import { bridgeArguments } from '../../../bench/net/planes/openvswitch.ts';
import type { RoutedNode } from '../../../bench/net/planes/routed.ts';
import { wireguardKeys } from '../../../bench/net/planes/wireguard-go.ts';
import { Cleanup } from '../../../lab/cleanup.ts';
import { Namespace } from '../../../lab/namespace.ts';
import { WeftError } from '../../../src/shared/errors.ts';

const SECOND: RoutedNode = {
  index: 2,
  namespace: new Namespace('weft-0000-n2', new Cleanup()),
  local: '10.99.0.2',
  remote: '10.99.0.1',
  remoteSubnet: '10.244.1.0/24',
  folder: '/somewhere',
};

describe('foreign planes', () => {
  it('have ids of their own and name the package of every command', () => {
    const ids = foreignPlanes.map((plane) => plane.id);
    assert.deepEqual([...new Set(ids)], ids);
    for (const { id, commands, besides } of foreignPlanes) {
      assert.ok(Object.entries(commands).length > 0, id);
      assert.ok(Object.values(commands).every(Boolean), id);
      assert.notEqual(besides, '', id);
    }
  });

  it('find a version in what a program prints, whatever it exits with', async () => {
    const print = `process.stderr.write('thing v1.2 of today'); process.exit(3)`;
    const command = [process.execPath, '-e', print] as const;
    assert.equal(await versionFrom('thing', [...command], /v(\S+)/), 'thing 1.2');
    await assert.rejects(
      versionFrom('thing', [...command], /release (\S+)/),
      (error: unknown) => error instanceof WeftError && error.message.includes('no version'),
    );
  });

  it('fastd sends packets as they are, to the other node only', () => {
    const text = fastdConfig({ local: 'L', remote: 'R', secret: 'S', peer: 'P' });
    assert.deepEqual(text.match(/^method .*$/gm), ['method "null";']);
    assert.match(text, /^bind L:10000;$/m);
    assert.match(text, /^secret "S";$/m);
    assert.deepEqual(text.match(/^peer .*$/gm), ['peer "other" { key "P"; remote R:10000; }']);
  });

  it('Nebula routes the other pods by way of the other node', () => {
    const config = JSON.parse(nebulaConfig(SECOND));
    assert.deepEqual(config.static_host_map, { '10.97.0.1': ['10.99.0.1:4242'] });
    assert.deepEqual(config.tun.unsafe_routes, [
      { route: '10.244.1.0/24', via: '10.97.0.1', mtu: config.tun.mtu },
    ]);
    assert.equal(config.pki.key, '/somewhere/nebula-2.key');
    assert.equal(config.listen.host, '10.99.0.2');
  });

  it('an n2n edge has an address and a MAC of its own and lets routed packets pass', () => {
    const args = edgeArguments(SECOND, '10.99.0.1');
    const after = (flag: string): string | undefined => args[args.indexOf(flag) + 1];
    assert.equal(after('-a'), '10.97.0.2');
    assert.equal(after('-m'), '02:00:00:97:00:02');
    assert.equal(after('-l'), '10.99.0.1:7654');
    assert.ok(args.includes('-r'));
  });

  it('Open vSwitch gets only userspace bridges', () => {
    const line = bridgeArguments('10.99.0.1').join(' ');
    const bridges = [...line.matchAll(/add-br (\S+)/g)].map(([, name]) => name);
    const inUserspace = [...line.matchAll(/set bridge (\S+) datapath_type=netdev/g)];
    assert.deepEqual(
      inUserspace.map(([, name]) => name),
      bridges,
    );
    assert.match(line, /vxlan0 type=vxlan options:remote_ip=10\.99\.0\.1 /);
  });

  it('the WireGuard keys of a pair belong together', () => {
    const { secret, publicKey } = wireguardKeys();
    // the DER head of an X25519 private key
    const head = Buffer.from('302e020100300506032b656e04220420', 'hex');
    const der = Buffer.concat([head, Buffer.from(secret, 'base64')]);
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    const jwk = createPublicKey(key).export({ format: 'jwk' });
    assert.equal(Buffer.from(jwk.x ?? '', 'base64url').toString('base64'), publicKey);
  });
});
