/** The backends besides the tunnels, and DirectRouting, with real daemons in namespaces. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Lab } from '../../lab/lab.ts';
import { projectBinary } from '../../lab/root.ts';
import { ping } from '../../lab/traffic.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { commandWords } from '../../src/control/backend/extension.ts';
import { needs } from '../support/needs.ts';
import { statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const WEFT = { kind: 'weft' } as const;
const nodeOf = (lab: Lab, i: number): WeftNode => lab.weftNodes[i] as WeftNode;
const routesOf = async (node: WeftNode, family = '-4'): Promise<string> =>
  (await node.namespace.ip(family, 'route')).stdout;
const valuesOf = async (lab: Lab): Promise<string[]> => [...(await lab.board.read()).values()];

describe('netns: host-gw', () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.build({ nodes: [WEFT, WEFT], backend: 'host-gw', families: [4, 6] });
  });
  after(() => lab?.close());
  const subnetOf = async (i: number): Promise<string> =>
    (await statusOf(nodeOf(lab, i))).lease.key.split('&')[0]?.replace('-', '/') ?? '';

  it('HGW-1 plain routes through the underlay, no device, full MTU, in both families', async () => {
    const routes = await routesOf(nodeOf(lab, 0));
    assert.match(routes, new RegExp(`${await subnetOf(1)} via 10\\.99\\.0\\.2 dev eth0 proto 86`));
    assert.match(
      await routesOf(nodeOf(lab, 0), '-6'),
      /fd00:244:\S+ via fd00:99::2 dev eth0 proto 86/,
    );
    assert.doesNotMatch(routes, /flannel/);
    assert.equal((await statusOf(nodeOf(lab, 0))).mtu, 1500);
    for (const value of await valuesOf(lab))
      assert.match(
        value,
        /^\{"PublicIP":"10\.99\.0\.\d","PublicIPv6":"fd00:99::\d","BackendType":"host-gw"\}$/,
      );
    for (const family of [4, 6] as const)
      assert.equal((await ping(lab.pod(0), lab.pod(1), { family, count: 5 })).lossPct, 0);
  });

  it('HGW-1 a wrong gateway is replaced, a deleted route comes back', async () => {
    const { namespace } = nodeOf(lab, 0);
    const subnet = await subnetOf(1);
    const isRight = async (): Promise<boolean> =>
      (await routesOf(nodeOf(lab, 0))).includes(`${subnet} via 10.99.0.2 dev eth0 proto 86`);
    const mended = (): number =>
      nodeOf(lab, 0).log.split('the host was not as it should be; IPv4 routes').length;
    const before = mended();
    await namespace.ip('route', 'replace', subnet, 'via', '10.99.0.99');
    await until('it is noticed', () => mended() > before);
    await until('the right gateway', isRight);
    await namespace.ip('route', 'delete', subnet);
    await until('the route is back', isRight);
  });

  it('HGW-1 routes stay when the daemon stops; one of a node that is gone goes at the next start', async () => {
    const subnet = await subnetOf(1);
    await nodeOf(lab, 0).stop();
    assert.ok((await routesOf(nodeOf(lab, 0))).includes(subnet));
    assert.equal((await ping(lab.pod(0), lab.pod(1), { count: 3 })).lossPct, 0);
    const { key } = (await statusOf(nodeOf(lab, 1))).lease;
    const value = (await lab.board.read()).get(key) ?? '';
    await nodeOf(lab, 1).stop();
    await lab.board.remove(key);
    await nodeOf(lab, 0).start();
    await until('gone', async () => !(await routesOf(nodeOf(lab, 0))).includes(subnet));
    await lab.board.write(key, value);
    await nodeOf(lab, 1).start();
    await lab.waitForPeers();
  });

  it('HGW-1 a public address of somebody else is refused', async () => {
    await nodeOf(lab, 0).stop();
    const args = [
      projectBinary('weftd'),
      `--store=file:${lab.storeDir}`,
      '--iface=eth0',
      '--public-ip=192.0.2.77',
      `--admin-socket=${nodeOf(lab, 0).adminSocket}`,
    ];
    const { code, stderr } = await nodeOf(lab, 0).namespace.exec(process.execPath, args, {
      allowFailure: true,
    });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /host-gw.*--public-ip/s);
    await nodeOf(lab, 0).start();
  });
});

describe('netns: DirectRouting', () => {
  let lab: Lab;
  before(async () => {
    // Without probes of its own: the test counts what goes through the tunnel.
    const flags = ['--probe-seconds=0'];
    lab = await Lab.build({ nodes: [WEFT, WEFT], backendOptions: { DirectRouting: true }, flags });
  });
  after(() => lab?.close());

  it('peers on the same link get plain routes; what leaves the link is encapsulated', async () => {
    assert.match(await routesOf(nodeOf(lab, 0)), /via 10\.99\.0\.2 dev eth0 proto 86/);
    assert.equal((await ping(lab.pod(0), lab.pod(1), { count: 5 })).lossPct, 0);
    const { counters } = await statusOf(nodeOf(lab, 0));
    assert.equal(counters['sentPackets'], 0, 'nothing went through the tunnel');
    // The second node moves behind a gateway: no direct way any more.
    for (const [i, other] of [
      [0, 2],
      [1, 1],
    ] as const) {
      const { namespace } = nodeOf(lab, i);
      await namespace.ip('addr', 'add', `10.98.${i}.1/24`, 'dev', 'eth0');
      await namespace.ip(
        'route',
        'add',
        `10.99.0.${other}/32`,
        'via',
        `10.98.${i}.9`,
        'onlink',
        'dev',
        'eth0',
      );
    }
    await until('the plain route is gone', async () => {
      return !/via 10\.99\.0\.2 dev eth0 proto 86/.test(await routesOf(nodeOf(lab, 0)));
    });
    assert.match(await routesOf(nodeOf(lab, 0)), /10\.244\.0\.0\/16 dev flannel\.1 proto 86/);
  });
});

describe('netns: alloc and extension', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'weft-extension-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('alloc leases a subnet and touches nothing else', async () => {
    const lab = await Lab.build({
      nodes: [WEFT],
      configOptions: { Backend: { Type: 'alloc' } },
      waitForPeers: false,
    });
    try {
      assert.deepEqual(await valuesOf(lab), ['{"PublicIP":"10.99.0.1","PublicIPv6":null}']);
      const { healthy, mtu, devices } = await statusOf(nodeOf(lab, 0));
      assert.deepEqual([healthy, mtu, devices], [true, 1500, []]);
      assert.doesNotMatch(await routesOf(nodeOf(lab, 0)), /proto 86/);
    } finally {
      await lab.close();
    }
  });

  it('extension runs commands without a shell, with data and variables', async () => {
    const script = (name: string, body: string): string => {
      const file = path.join(folder, name);
      writeFileSync(file, `#!/bin/sh\n${body}\n`);
      chmodSync(file, 0o755);
      return file;
    };
    const Backend = {
      Type: 'extension',
      PreStartupCommand: '/bin/echo  the data; echo no',
      PostStartupCommand: script(
        'post',
        `echo "$NETWORK $SUBNET $PUBLIC_IP" > ${folder}/post-$PUBLIC_IP`,
      ),
      SubnetAddCommand: `${script('add', `(cat; echo "$1 $SUBNET $PUBLIC_IP") > ${folder}/add-$PUBLIC_IP`)} arg=\${SUBNET}`,
      SubnetRemoveCommand: script('remove', `echo "$SUBNET" > ${folder}/remove-$PUBLIC_IP`),
    };
    const lab = await Lab.build({
      nodes: [WEFT, WEFT],
      configOptions: { Backend },
      waitForPeers: false,
    });
    try {
      const read = (name: string): string => readFileSync(path.join(folder, name), 'utf8');
      const values = await valuesOf(lab);
      assert.ok(
        values.includes(
          '{"PublicIP":"10.99.0.1","PublicIPv6":null,"BackendType":"extension","BackendData":"the data; echo no"}',
        ),
        values.join('\n'),
      );
      assert.match(
        read('post-10.99.0.1'),
        /^10\.244\.0\.0\/16 10\.244\.\d+\.0\/24 10\.99\.0\.1\n$/,
      );
      await until('the other was added', () => existsSync(path.join(folder, 'add-10.99.0.2')));
      const subnet = (await statusOf(nodeOf(lab, 1))).lease.key.replace('-', '/');
      await until('all of it', () => read('add-10.99.0.2').includes('arg='));
      assert.equal(read('add-10.99.0.2'), `the data; echo no\narg=${subnet} ${subnet} 10.99.0.2\n`);
      const { key } = (await statusOf(nodeOf(lab, 1))).lease;
      await nodeOf(lab, 1).stop();
      await lab.board.remove(key);
      await until('removed', () => existsSync(path.join(folder, 'remove-10.99.0.2')));
    } finally {
      await lab.close();
    }
  });

  it('A-15 words: blanks separate, quotes mean nothing, unknown variables are empty', () => {
    assert.deepEqual(commandWords('a  "b c" $X ${Y}z $NONE-', { X: '1 2', Y: 'y' }), [
      'a',
      '"b',
      'c"',
      '1 2',
      'yz',
      '-',
    ]);
  });
});
