/** The CNI plugin with the standard plugins (Debian's containernetworking-plugins) as a container runtime runs them: real pods. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { RunResult } from '../../lab/command.ts';
import { addVeth } from '../../lab/fabric.ts';
import { LabScope, type Namespace } from '../../lab/namespace.ts';
import { type Json, PLUGIN } from '../support/cni-plugin.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const STANDARD_PLUGINS = '/usr/lib/cni';

const { after, before, describe, it } = needs('root');

/** The network of flannel's manifest. */
const MANIFEST = {
  cniVersion: '0.3.1',
  name: 'cbr0',
  type: 'flannel',
  delegate: { hairpinMode: true, isDefaultGateway: true },
};

const ENV =
  'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.5.1/24\nFLANNEL_IPV6_NETWORK=fd00:244::/48\n' +
  'FLANNEL_IPV6_SUBNET=fd00:244:0:5::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=true\n';

/** Kinds of an ELF file's segments. */
const ELF_LOAD = 1;
const ELF_INTERPRETER = 3;

interface Result {
  ips: { address: string }[];
  interfaces: Json[];
}

const addressesOf = (result: Result): string[] =>
  result.ips.map(({ address }) => address.replace(/\/.*/, ''));

describe('netns: the CNI plugin and the standard plugins', () => {
  let scope: LabScope;
  let node: Namespace;
  let files: { subnetFile: string; dataDir: string };
  let leases: string;
  before(async () => {
    scope = await LabScope.open();
    node = await scope.namespace('node');
    const folder = path.join(scope.tempDir, 'cni');
    mkdirSync(folder);
    files = { subnetFile: path.join(folder, 'subnet.env'), dataDir: path.join(folder, 'state') };
    leases = path.join(folder, 'leases');
    writeFileSync(files.subnetFile, ENV);
  });
  after(() => scope?.close());

  const run = async (
    plugin: string,
    command: string,
    pod: { id: string; namespace?: Namespace },
    config: Json,
  ): Promise<RunResult> => {
    const environment = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: pod.id,
      CNI_IFNAME: 'eth0',
      CNI_NETNS: pod.namespace ? `/var/run/netns/${pod.namespace.name}` : '',
      CNI_PATH: STANDARD_PLUGINS,
    };
    const words = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    return node.exec('env', [...words, plugin], {
      input: JSON.stringify({ ...files, ipam: { dataDir: leases }, ...config }),
      allowFailure: true,
      timeoutMs: 120_000,
    });
  };
  const weft = (command: string, id: string, namespace?: Namespace, config: Json = {}) =>
    run(PLUGIN, command, namespace ? { id, namespace } : { id }, { ...MANIFEST, ...config });

  const add = async (id: string, namespace: Namespace, config: Json = {}): Promise<Result> => {
    const { code, stdout, stderr } = await weft('ADD', id, namespace, config);
    assert.equal(code, 0, stdout + stderr);
    return JSON.parse(stdout);
  };
  const del = async (id: string, namespace?: Namespace): Promise<void> => {
    const { code, stdout, stderr } = await weft('DEL', id, namespace);
    assert.deepEqual([code, stdout], [0, ''], stdout + stderr);
  };
  /** The addresses that host-local has given away. */
  const leased = (): string[] =>
    existsSync(path.join(leases, 'cbr0'))
      ? readdirSync(path.join(leases, 'cbr0')).filter((name) => /^[\da-f]+[.:]/.test(name))
      : [];
  const states = (): string[] => (existsSync(files.dataDir) ? readdirSync(files.dataDir) : []);
  const assertNothingLeft = (): void => assert.deepEqual([leased(), states()], [[], []]);

  it('CNI-1 two pods: addresses of the subnet, the MTU of the file, routes, and they reach each other', async () => {
    const one = await scope.namespace('one');
    const two = await scope.namespace('two');
    const [first4 = '', first6 = ''] = addressesOf(await add('c-one', one));
    const [second4 = '', second6 = ''] = addressesOf(await add('c-two', two));
    for (const address of [first4, second4]) assert.match(address, /^10\.244\.5\.\d+$/);
    for (const address of [first6, second6]) assert.match(address, /^fd00:244:0:5::/);
    const { stdout: link } = await one.ip('link', 'show', 'eth0');
    assert.match(link, / mtu 1430 /);
    const { stdout: routes } = await one.ip('route');
    assert.match(routes, /^default via 10\.244\.5\.1 dev eth0/m);
    assert.match(routes, /^10\.244\.0\.0\/16 via 10\.244\.5\.1 dev eth0/m);
    assert.deepEqual(states().sort(), ['c-one', 'c-two']);
    for (const address of [second4, second6])
      await until(`an answer of ${address}`, async () => {
        const sent = await one.exec('ping', ['-c1', '-W2', address], { allowFailure: true });
        return sent.code === 0;
      });
    await del('c-one', one);
    assert.deepEqual(leased().sort(), [second4, second6].sort());
    await del('c-two');
    await del('c-two');
    assertNothingLeft();
  });

  it('portmap takes its result, and a port of the node reaches the pod', async () => {
    const pod = await scope.namespace('web');
    const client = await scope.namespace('client');
    await addVeth(node, 'up0', client, 'up0');
    await node.ip('addr', 'add', '192.0.2.1/24', 'dev', 'up0');
    await client.ip('addr', 'add', '192.0.2.2/24', 'dev', 'up0');
    for (const space of [node, client]) await space.ip('link', 'set', 'up0', 'up');
    const prevResult = await add('c-web', pod);
    const portmap = (command: string) =>
      run(
        path.join(STANDARD_PLUGINS, 'portmap'),
        command,
        { id: 'c-web', namespace: pod },
        {
          cniVersion: '0.3.1',
          name: 'cbr0',
          type: 'portmap',
          prevResult,
          runtimeConfig: { portMappings: [{ hostPort: 8000, containerPort: 80, protocol: 'tcp' }] },
        },
      );
    const mapped = await portmap('ADD');
    assert.equal(mapped.code, 0, mapped.stdout);
    const serve = `require('node:net').createServer((s) => s.end('of the pod')).listen(80)`;
    const server = pod.spawn(process.execPath, ['-e', serve]);
    const ask = `require('node:net').connect(8000, '192.0.2.1').pipe(process.stdout)`;
    await until('the server in the pod', async () => {
      const said = await client.exec(process.execPath, ['-e', ask], { allowFailure: true });
      return said.stdout === 'of the pod';
    });
    await server.stop();
    assert.equal((await portmap('DEL')).code, 0);
    await del('c-web', pod);
    assertNothingLeft();
  });

  it('twenty at once, and away with them', async () => {
    const numbers = Array.from({ length: 20 }, (_, i) => i);
    const pods = await Promise.all(numbers.map((number) => scope.namespace(`p${number}`)));
    const results = await Promise.all(pods.map((pod, number) => add(`c-${number}`, pod)));
    const addresses = results.flatMap(addressesOf);
    assert.equal(new Set(addresses).size, 40);
    assert.deepEqual(leased().sort(), addresses.sort());
    await Promise.all(pods.map((pod, number) => del(`c-${number}`, pod)));
    assertNothingLeft();
  });

  it('CHECK is about the pod: an interface that somebody took is noticed', async () => {
    const pod = await scope.namespace('checked');
    const config = { cniVersion: '1.0.0' };
    const prevResult = await add('c-checked', pod, config);
    const check = () => weft('CHECK', 'c-checked', pod, { ...config, prevResult });
    const good = await check();
    assert.equal(good.code, 0, good.stdout);
    await pod.ip('link', 'delete', 'eth0');
    const bad = await check();
    assert.notEqual(bad.code, 0);
    assert.match(JSON.parse(bad.stdout).msg, /eth0/);
    await del('c-checked', pod);
    assertNothingLeft();
  });

  it('GC frees the addresses of pods that are gone, and of no other', async () => {
    const [gone, alive] = [await scope.namespace('gone'), await scope.namespace('alive')];
    await add('c-gone', gone);
    const kept = addressesOf(await add('c-alive', alive));
    // Debian's bridge may be too old for CNI 1.1.0, whose GC is passed on to it: what it says is not looked at.
    await weft('GC', '', undefined, {
      cniVersion: '1.1.0',
      'cni.dev/valid-attachments': [{ containerID: 'c-alive', ifname: 'eth0' }],
    });
    assert.deepEqual([leased().sort(), states()], [kept.sort(), ['c-alive']]);
    await del('c-alive', alive);
    assertNothingLeft();
  });

  it('an ADD that fails halfway leaves neither address nor state', async () => {
    const pod = await scope.namespace('taken');
    await pod.ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other');
    const failed = await weft('ADD', 'c-taken', pod);
    assert.notEqual(failed.code, 0);
    assert.match(JSON.parse(failed.stdout).msg, /eth0/);
    assertNothingLeft();
  });

  it('without subnet.env: the node is not ready', async () => {
    const pod = await scope.namespace('early');
    const subnetFile = '/nonexistent/subnet.env';
    const early = await weft('ADD', 'c-early', pod, { subnetFile });
    assert.equal(early.code, 1);
    assert.match(JSON.parse(early.stdout).msg, /^weftd is not ready on this node: /);
    assertNothingLeft();
  });

  it('is copied to hosts of any distribution: it asks for no interpreter, so for no library', () => {
    const bytes = readFileSync(PLUGIN);
    const [start, size, count] = [
      bytes.readUInt32LE(32),
      bytes.readUInt16LE(54),
      bytes.readUInt16LE(56),
    ];
    const kinds = Array.from({ length: count }, (_, i) => bytes.readUInt32LE(start + i * size));
    assert.ok(kinds.includes(ELF_LOAD));
    assert.ok(!kinds.includes(ELF_INTERPRETER));
  });
});
