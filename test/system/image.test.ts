/**
 * The container image: the Dockerfile is built by buildah on a base made here, then its entry point runs as process 1 with a read-only
 * root and two capabilities, beside a node with kernel VXLAN.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from '../../lab/command.ts';
import { Container } from '../../lab/container.ts';
import { buildFabric, underlayAddress } from '../../lab/fabric.ts';
import { type ImageConfig, ImageStore } from '../../lab/image.ts';
import { KernelNode } from '../../lab/kernel-node.ts';
import { networkConfig } from '../../lab/lab.ts';
import { FileBoard } from '../../lab/lease-board.ts';
import { LabScope, type Namespace } from '../../lab/namespace.ts';
import type { LabNode } from '../../lab/node.ts';
import { Pod } from '../../lab/pod.ts';
import { ping } from '../../lab/traffic.ts';
import { parseSubnetFile } from '../../lab/weft-node.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { programVersion } from '../../src/shared/version.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const NAME = 'localhost/weft:test';
/** As the image's settings have it for whatever a runtime starts. */
const WITH_PATH = [
  '/usr/bin/env',
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
];
const DEVICE = 'flannel.1';

describe('container image', () => {
  let scope: LabScope;
  let images: ImageStore;
  let root: string;
  let config: ImageConfig;
  let spaces: [Namespace, Namespace];
  const dockerfile = readFileSync(path.join(projectRoot(), 'Dockerfile'), 'utf8');
  const inImage = (file: string): boolean => existsSync(path.join(root, file));

  before(async () => {
    scope = await LabScope.open();
    images = new ImageStore(scope);
    scope.cleanup.defer('images', () => images.close());
    const base = /^ARG NODE=(\S+)$/m.exec(dockerfile)?.[1];
    assert.ok(base, 'the Dockerfile names its base');
    await images.makeBase(base);
    await images.build(projectRoot(), NAME, { VERSION: programVersion() });
    root = await images.unpack(NAME);
    config = await images.config(NAME);
  });
  after(async () => {
    assert.deepEqual(await scope?.close(), []);
  });

  it('says what it is; the entry point is node itself', () => {
    assert.deepEqual(config.Entrypoint, ['/usr/local/bin/node', '/usr/lib/weft/bin/weftd']);
    assert.equal(config.StopSignal, 'SIGTERM');
    assert.equal(config.User ?? '', '');
    const label = (name: string) => config.Labels?.[`org.opencontainers.image.${name}`];
    assert.deepEqual([label('title'), label('licenses')], ['weft', 'Apache-2.0']);
    assert.equal(label('version'), programVersion());
  });

  it('holds what runs and nothing that builds', async () => {
    for (const file of [
      'usr/bin/gcc',
      'usr/bin/cc',
      'usr/include/stdio.h',
      'usr/local/bin/npm',
      'src',
      'root/.npm',
      'staged',
    ])
      assert.ok(!inImage(file), `${file} is not in the image`);
    assert.ok(!inImage('usr/local/lib/node_modules'));
    // Where the build saw this machine's settings a mount point stays, and nothing in it.
    const settings = path.join(root, 'root/.npmrc');
    assert.equal(existsSync(settings) ? readFileSync(settings, 'utf8') : '', '');
    for (const file of [
      'usr/sbin/ip',
      'usr/sbin/nft',
      'usr/sbin/iptables',
      'usr/lib/weft/native/build/weft.node',
      'usr/lib/weft/native/build/cni/flannel',
      'usr/lib/weft/native/build/cni/weft',
      'usr/lib/weft/native/build/cni/install-conf',
      'usr/lib/weft/native/build/keeper/weft-keeper',
      'usr/lib/weft/bin/mk-docker-opts.sh',
    ])
      assert.ok(inImage(file), `${file} is in the image`);
    const program = path.join(root, 'usr/lib/weft');
    const files = readdirSync(program, { recursive: true, encoding: 'utf8' });
    const odd = files.filter((file) =>
      /\.(ts|map|c|h|test\.js)$|^dist\/(src|test|bench|lab)(\/|$)/.test(file),
    );
    assert.deepEqual(odd, []);
    const packages = readdirSync(path.join(program, 'node_modules'));
    assert.ok(packages.includes('pino') && !packages.includes('typescript'));
    const sizeOf = async (folder: string): Promise<number> =>
      Number((await run('du', ['-sm', folder])).stdout.split('\t')[0]);
    console.log(
      `image: ${await sizeOf(root)} MiB unpacked, of which weft ${await sizeOf(program)} MiB`,
    );
    assert.ok((await sizeOf(program)) < 40, 'weft itself stays small');
  });

  it('has what manifests for flannel call, where they look for it', async () => {
    const inside = (...words: string[]) => run('chroot', [root, ...words], { allowFailure: true });
    await run('mkdir', ['-p', path.join(root, 'tmp/cni')]);
    writeFileSync(path.join(root, 'tmp/cni/conf.json'), '{"name": "cbr0"}\n');
    assert.equal((await inside('/bin/cp', '-f', '/flannel', '/tmp/cni/flannel')).code, 0);
    const plugin = await run('env', ['CNI_COMMAND=VERSION', path.join(root, 'tmp/cni/flannel')]);
    assert.match(plugin.stdout, /"supportedVersions"/);
    const copy = ['/tmp/cni/conf.json', '/tmp/cni/net.d/10-flannel.conflist'];
    assert.equal((await inside('/opt/bin/install-conf', ...copy)).code, 0);
    assert.ok(inImage('tmp/cni/net.d/10-flannel.conflist'));
    const daemon = await inside(...WITH_PATH, '/opt/bin/flanneld', '--version');
    assert.equal(daemon.code, 0, daemon.stderr);
    const early = await inside('/opt/bin/mk-docker-opts.sh', '-f', '/nonexistent/subnet.env');
    assert.match(early.stderr, /start weftd first/);
  });

  describe('running beside a kernel VXLAN node', () => {
    let container: Container;
    let pods: [Pod, Pod];
    const file = (name: string): string => path.join(scope.tempDir, name);

    before(async () => {
      spaces = [await scope.namespace('n1'), await scope.namespace('n2')];
      await buildFabric(scope, spaces, { shape: 'point-to-point' });
      mkdirSync(file('store/subnets'), { recursive: true });
      writeFileSync(file('store/config'), JSON.stringify(networkConfig('vxlan', [4])));
      const board = new FileBoard(file('store'));
      const kernel = new KernelNode('n2', spaces[1], underlayAddress(2), {
        index: 2,
        board,
        families: [4],
      });
      scope.cleanup.defer('follower', () => kernel.stopFollowing());
      await kernel.start();
      // What a host may have for new devices, so that weftd has something to set right.
      await spaces[0].exec('sysctl', ['-qw', 'net.ipv4.conf.default.accept_local=1']);
      container = Container.start({
        namespace: spaces[0],
        root,
        command: [
          ...(config.Entrypoint ?? []),
          '--store=file:/srv/weft',
          '--iface=eth0',
          '--ip-masq',
          '--admin-listen=8475',
        ],
        shared: {
          [file('store')]: '/srv/weft',
          [file('flannel')]: '/run/flannel',
          [file('weft')]: '/run/weft',
          [file('state')]: '/var/lib/weft',
        },
      });
      await until('a subnet file', () => {
        assert.equal(container.process.exit, undefined, container.process.lastLines(30));
        return existsSync(file('flannel/subnet.env'));
      });
      const node: LabNode = {
        name: 'n1',
        kind: 'other',
        namespace: spaces[0],
        underlay: underlayAddress(1),
        network: parseSubnetFile(readFileSync(file('flannel/subnet.env'), 'utf8')),
        start: () => Promise.resolve(),
        stop: () => Promise.resolve(),
      };
      pods = [await Pod.create(scope, 'p1', node), await Pod.create(scope, 'p2', kernel)];
    });

    it('exchanges packets, with two capabilities and a read-only root', async () => {
      const answers = async () => (await ping(...pods, { count: 1, waitMs: 500 })).received === 1;
      await until('the pods reach each other', answers, 20_000);
      assert.equal((await ping(pods[1], pods[0], { count: 20, intervalMs: 10 })).lossPct, 0);
      const netAdminAndNetRaw = '0000000000003000';
      for (const set of ['CapEff', 'CapPrm', 'CapBnd'])
        assert.equal(container.status(set), netAdminAndNetRaw);
      assert.equal(container.status('NoNewPrivs'), '1');
      const { stdout } = await spaces[0].exec('iptables-save', ['-t', 'nat']);
      assert.match(stdout, /MASQUERADE/);
    });

    const status = async () => {
      const weft = ['/usr/local/bin/node', '/usr/lib/weft/bin/weft', 'status', '--json'];
      const into = ['-t', `${container.pid}`, '-m', '-p', '-r'];
      return JSON.parse((await run('nsenter', [...into, ...weft])).stdout);
    };

    it('weft inside the image sees a healthy daemon', async () => {
      assert.equal((await status()).healthy, true);
    });

    it('serves the page, whose files came along', async () => {
      const script =
        "fetch('http://127.0.0.1:8475/').then(async (page) => process.stdout.write(await page.text()))";
      const { stdout } = await spaces[0].exec(process.execPath, ['--eval', script]);
      assert.match(stdout, /^<!doctype html>/i);
    });

    it('sets up its devices although /proc/sys is read-only; super-packets leave whole', async () => {
      const setting = async (device: string, name: string): Promise<string> =>
        (await spaces[0].exec('sysctl', ['-n', `net/ipv4/conf/${device}/${name}`])).stdout.trim();
      assert.equal(await setting('default', 'accept_local'), '1');
      assert.equal(await setting(DEVICE, 'accept_local'), '0');
      assert.doesNotMatch(container.process.lastLines(1_000), /not set|EROFS/);
      await until('a device that takes super-packets', async () => {
        const { tunnelGso } = await status();
        return tunnelGso?.egress.some(({ usable }: { usable: boolean }) => usable) === true;
      });
      assert.equal(await setting('weft.1', 'accept_local'), '1');
    });

    it('SIGTERM ends it in order', async () => {
      assert.equal(await container.stop('SIGTERM'), 'exit code 0', container.process.lastLines());
      assert.ok(existsSync(file('flannel/subnet.env')));
    });

    it("in the place of flannel's image: its path, its rights, and the device that its manifest lacks", async () => {
      container = Container.start({
        manifest: 'flannel',
        namespace: spaces[0],
        root,
        command: [...WITH_PATH, '/opt/bin/flanneld', '--store=file:/srv/weft', '--iface=eth0'],
        shared: { [file('store')]: '/srv/weft', [file('flannel')]: '/run/flannel' },
      });
      const answers = async () => {
        assert.equal(container.process.exit, undefined, container.process.lastLines(30));
        return (await ping(...pods, { count: 1, waitMs: 500 })).received === 1;
      };
      await until('the pods reach each other', answers, 30_000);
      assert.equal((await ping(pods[1], pods[0], { count: 20, intervalMs: 10 })).lossPct, 0);
      assert.match(container.process.lastLines(1_000), /made \/dev\/net\/tun in this container/);
      assert.equal(await container.stop('SIGTERM'), 'exit code 0', container.process.lastLines());
    });

    it('without the device and the right to make it: says what to add', async () => {
      container = Container.start({
        manifest: 'bare',
        namespace: spaces[0],
        root,
        command: [...(config.Entrypoint ?? []), '--store=file:/srv/weft', '--iface=eth0'],
        shared: { [file('store')]: '/srv/weft' },
      });
      await container.process.waitForEnd(30_000);
      assert.match(container.process.lastLines(), /net\/tun can't be used \(ENOENT\).*CharDevice/);
    });
  });
});
