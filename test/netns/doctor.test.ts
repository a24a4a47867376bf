/** Hosts that are broken in one way each, for real, in namespaces: the doctor names the cause and the fix, and nothing on a sound one. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { addVeth } from '../../lab/fabric.ts';
import type { KernelNode } from '../../lab/kernel-node.ts';
import { Lab } from '../../lab/lab.ts';
import type { LabNode } from '../../lab/node.ts';
import { projectBinary } from '../../lab/root.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { CHECKS } from '../../src/cli/doctor/run.ts';
import { once } from '../../src/shared/memo.ts';
import { needs } from '../support/needs.ts';
import { statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, afterEach, before, describe, it } = needs('root');

interface Row {
  id: string;
  status: string;
  text: string;
  fix: string | null;
}

const table: string[] = [];
/** The daemon says itself that the host is broken. */
const isVerdict = ({ id, text }: Row): boolean => id === 'daemon' && text.startsWith('weftd runs');
/** The last echoes to a peer that the test before took away. */
const isAftermath = ({ id, text }: Row): boolean =>
  id === 'drops' && /^growing: outNoRoute \+\d$/.test(text);
const mayComeBesides = (row: Row): boolean => isVerdict(row) || isAftermath(row);
/** All that looks at this host and the store only, for set-ups where the peers have no part: no waiting for answers. */
const LOCAL = `--only=${CHECKS.filter(({ network }) => !network)
  .map(({ id }) => id)
  .join()}`;

describe('netns: the doctor', () => {
  let lab: Lab;
  const node = (): WeftNode => lab.weftNodes[0] as WeftNode;
  const kernel = (): KernelNode => lab.kernelNodes[0] as KernelNode;
  const iptables = (...words: string[]) => node().namespace.exec('iptables', words);

  /** The whole doctor, as a process in the node's namespace. `wrap`: a command in front of it. */
  async function doctor(
    words: readonly string[] = [],
    wrap: readonly string[] = [],
    socket = node().adminSocket,
  ): Promise<{ code: number; rows: Row[] }> {
    const line = [...wrap, process.execPath, projectBinary('weft'), 'doctor', '--json'];
    const all = [...line, '--admin-socket', socket, ...words];
    const options = { allowFailure: true, timeoutMs: 30_000 };
    const { code, stdout, stderr } = await node().namespace.exec(
      all[0] as string,
      all.slice(1),
      options,
    );
    assert.ok(stdout.startsWith('{'), stderr);
    const { checks } = JSON.parse(stdout) as { checks: Row[] };
    return { code, rows: checks };
  }

  /** What puts the host right again after a test, last first; done whether the test passes or not. */
  const repairs: (() => unknown)[] = [];
  const repair = (work: () => unknown): void => void repairs.push(work);

  const flags = (...more: string[]): string[] => [
    '--',
    `--store=file:${lab.storeDir}`,
    '--iface=eth0',
    `--subnet-file=${node().subnetFile}`,
    `--admin-socket=${node().adminSocket}`,
    ...more,
  ];

  /** Exactly this one is reported, but for those that follow from it, and those that depend on the moment. */
  function assertFound(
    setup: string,
    { code, rows }: { code: number; rows: Row[] },
    id: string,
    fix: RegExp,
    status: 'fail' | 'warn' = 'fail',
    follows: readonly string[] = [],
  ): void {
    const found = rows.find((row) => row.id === id);
    const bad = rows.filter((row) => row.status === 'fail' || row.status === 'warn');
    const told = bad.map((row) => `${row.id} ${row.status}: ${row.text} → ${row.fix}`).join('\n');
    assert.equal(found?.status, status, `${setup}: ${found?.text}\n${told}`);
    assert.match(found?.fix ?? '', fix);
    assert.doesNotMatch(found?.fix ?? '', /\n/);
    const follow = [...follows, ...bad.filter(mayComeBesides).map((row) => row.id)];
    const others = bad.filter((row) => row.id !== id && !follow.includes(row.id));
    assert.deepEqual(others, [], `${setup}: others too\n${told}`);
    assert.equal(code, bad.some((row) => row.status === 'fail') ? 1 : 0);
    table.push(`${setup.padEnd(34)} ${id}: ${found?.text}`);
  }

  before(async () => {
    lab = await Lab.build({
      nodes: [{ kind: 'weft' }, { kind: 'weft' }, { kind: 'kernel' }],
    });
  });
  afterEach(async () => {
    for (const work of repairs.splice(0).reverse()) await work();
    // The verdict looks back: a peer that was cut off counts as unreachable until it has answered again.
    await until('all is well again', async () => (await statusOf(node())).healthy === true);
  });
  after(async () => {
    process.stdout.write(`${table.join('\n')}\n`);
    await lab?.close();
  });

  it('a sound node: nothing fails, the settings are those of the running daemon', async () => {
    const { code, rows } = await doctor();
    const bad = rows.filter(({ status }) => status === 'fail' || status === 'warn');
    assert.deepEqual(bad, []);
    assert.equal(code, 0);
    const ids = ['settings', 'underlay-path-mtu', 'overlay-reach', 'mtu-chain', 'forward-policy'];
    for (const id of ids) assert.equal(rows.find((row) => row.id === id)?.status, 'ok', id);
    assert.match(rows.find(({ id }) => id === 'settings')?.text ?? '', /weftd, process \d+/);
    assert.match(rows.find(({ id }) => id === 'underlay-path-mtu')?.text ?? '', /3 paths|2 paths/);
  });

  it('1 no tun device', async () => {
    const hide = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /dev/net && exec "$@"', 'sh'];
    assertFound('no /dev/net/tun', await doctor([LOCAL], hide), 'tun-device', /modprobe tun/);
    const mask = 'mount --bind /dev/null /dev/net/tun && exec "$@"';
    const other = ['unshare', '-m', 'sh', '-c', mask, 'sh'];
    assertFound('/dev/net/tun masked', await doctor([LOCAL], other), 'tun-device', /modprobe tun/);
  });

  it('2 no capability', async () => {
    const drop = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'];
    assertFound(
      'no CAP_NET_ADMIN',
      await doctor([LOCAL], drop),
      'capabilities',
      /NET_ADMIN/,
      'fail',
      ['forward-policy'],
    );
  });

  it('4 MTU too high: a CNI bridge, then the network config', async () => {
    const address = `${(await node().namespace.ip('-br', '-4', 'addr', 'show', 'dev', 'flannel.1')).stdout.match(/(\d+\.\d+\.\d+)\./)?.[1]}.77/32`;
    await node().namespace.ip('link', 'add', 'cni0', 'mtu', '1500', 'type', 'bridge');
    const unbridge = once(() => node().namespace.ip('link', 'delete', 'cni0'));
    repair(unbridge);
    await node().namespace.ip('addr', 'add', address, 'dev', 'cni0');
    const empty = (await doctor(['--only=mtu-chain'])).rows;
    assert.equal(empty[0]?.status, 'ok', 'a bridge without ports, as before the first container');
    const pod = ['type', 'veth', 'peer', 'name', 'eth0p'];
    await node().namespace.ip('link', 'add', 'veth7', 'mtu', '1500', 'master', 'cni0', ...pod);
    const unplug = once(() => node().namespace.ip('link', 'delete', 'veth7'));
    repair(unplug);
    assertFound(
      'CNI bridge with MTU 1500',
      await doctor([LOCAL]),
      'mtu-chain',
      /link set cni0 mtu 1450/,
    );
    await unplug();
    await unbridge();
    const config = path.join(lab.storeDir, 'config');
    const write = (backend: object): void =>
      writeFileSync(config, JSON.stringify({ Network: '10.244.0.0/16', Backend: backend }));
    repair(() => write({ Type: 'vxlan' }));
    write({ Type: 'vxlan', MTU: 9000 });
    assertFound('Backend.MTU 9000', await doctor([LOCAL]), 'mtu-chain', /Backend\.MTU to 1500/);
  });

  it('4 a smaller MTU in the middle of a path', async () => {
    // The third node is reached through the second, over a link of 1400 bytes.
    const [, second, third] = lab.nodes;
    assert.ok(second && third);
    await addVeth(second.namespace, 'mid', third.namespace, 'mid');
    repair(() => second.namespace.ip('link', 'delete', 'mid'));
    for (const [space, address] of [
      [second.namespace, '192.0.2.1/24'],
      [third.namespace, '192.0.2.2/24'],
    ] as const) {
      await space.ip('addr', 'add', address, 'dev', 'mid');
      await space.ip('link', 'set', 'mid', 'mtu', '1400', 'up');
    }
    const to3 = `${third.underlay.address4}/32`;
    const to1 = `${node().underlay.address4}/32`;
    const around = async ({ namespace }: LabNode, to: string, via: string): Promise<void> => {
      await namespace.ip('route', 'add', to, 'via', via);
      repair(() => namespace.ip('route', 'delete', to));
    };
    await around(node(), to3, second.underlay.address4);
    await around(second, to3, '192.0.2.2');
    await around(third, to1, '192.0.2.1');
    const found = await doctor();
    assertFound('a link of 1400 bytes', found, 'underlay-path-mtu', /Backend\.MTU to 1400/);
  });

  it('5 one-way firewall: here, and at the far end', async () => {
    const dropOn = async ({ namespace }: LabNode): Promise<() => unknown> => {
      const nft = (...words: string[]) => namespace.exec('nft', words);
      await nft('add', 'table', 'inet', 'broken');
      const undo = once(() => nft('delete', 'table', 'inet', 'broken'));
      repair(undo);
      const hook = '{ type filter hook input priority 0; }';
      await nft('add', 'chain', 'inet', 'broken', 'in', hook);
      await nft('add', 'rule', 'inet', 'broken', 'in', 'udp', 'dport', '8472', 'drop');
      return undo;
    };
    const undo = await dropOn(node());
    assertFound('UDP 8472 dropped here', await doctor(), 'overlay-reach', /8472/, 'fail', [
      'port-blocked',
    ]);
    await undo();
    await dropOn(kernel());
    const found = await doctor();
    assertFound('UDP 8472 dropped at a peer', found, 'overlay-reach', /allow UDP 8472/);
    const text = found.rows.find(({ id }) => id === 'overlay-reach')?.text ?? '';
    assert.match(text, /asking 10\.99\.0\.3: sent \d+, received 0/);
  });

  it('6 wrong interface', async () => {
    await node().namespace.ip('link', 'add', 'wan0', 'type', 'veth', 'peer', 'name', 'wan0p');
    repair(() => node().namespace.ip('link', 'delete', 'wan0'));
    await node().namespace.ip('addr', 'add', '198.51.100.5/24', 'dev', 'wan0');
    await node().namespace.ip('link', 'set', 'wan0p', 'up');
    await node().namespace.ip('link', 'set', 'wan0', 'up');
    const found = await doctor([
      LOCAL,
      ...flags('--iface=wan0').filter((word) => word !== '--iface=eth0'),
    ]);
    assertFound('--iface of another network', found, 'interface-choice', /--iface=eth0/);
  });

  it('7 duplicate public IP', async () => {
    const value = JSON.stringify({
      PublicIP: '10.99.0.2',
      BackendType: 'vxlan',
      BackendData: { VNI: 1, VtepMAC: '02:00:00:00:00:77' },
    });
    await lab.board.write('10.244.200.0-24', value);
    repair(() => lab.board.remove('10.244.200.0-24'));
    assertFound(
      'two leases, one PublicIP',
      await doctor([LOCAL]),
      'duplicate-public-ip',
      /--iface/,
      'fail',
      ['overlay-reach'],
    );
  });

  it('8 store away: etcd, folder', async () => {
    const away = ['--', '--iface=eth0', `--admin-socket=${node().adminSocket}`];
    const etcd = await doctor([...away, '--etcd-endpoints=http://127.0.0.1:2999']);
    const follows = ['mtu-chain'];
    assertFound('etcd away', etcd, 'store-reachable', /etcd/, 'fail', follows);
    const folder = await doctor([...away, '--store=file:/nonexistent/weft']);
    assertFound('store folder missing', folder, 'store-reachable', /--store/, 'fail', follows);
  });

  it('9 junk config, no config', async () => {
    const folder = path.join(lab.scope.tempDir, 'junk');
    mkdirSync(path.join(folder, 'subnets'), { recursive: true });
    const words = [LOCAL, ...flags(`--store=file:${folder}`)];
    assertFound('no network config', await doctor(words), 'network-config', /write there/);
    writeFileSync(path.join(folder, 'config'), '{"Network":"10.244.0.0');
    assertFound('junk config', await doctor(words), 'network-config', /the shape is/);
  });

  it('10 ip_forward off', async () => {
    repair(() => node().namespace.sysctl({ 'net/ipv4/ip_forward': 1 }));
    await node().namespace.sysctl({ 'net/ipv4/ip_forward': 0 });
    assertFound(
      'ip_forward = 0',
      await doctor([LOCAL]),
      'ip-forward',
      /sysctl -w net\.ipv4\.ip_forward=1/,
    );
  });

  it('11 FORWARD policy DROP', async () => {
    repair(async () => {
      await iptables('-P', 'FORWARD', 'ACCEPT');
      await node().restart({ flags: [] });
      await lab.waitForPeers();
    });
    await node().restart({ flags: ['--iptables-forward-rules=false'] });
    await iptables('-F', 'FORWARD');
    await iptables('-P', 'FORWARD', 'DROP');
    assertFound(
      'FORWARD policy DROP',
      await doctor([LOCAL]),
      'forward-policy',
      /iptables -t filter -I FORWARD -s 10\.244\.0\.0\/16 .*ACCEPT/,
    );
  });

  /** `lines`: commands that break it; `found`: check, text and fix. */
  interface Firewall {
    setup: string;
    lines: string[];
    undo: string[];
    found?: { id: string; text: RegExp; fix: RegExp; status?: 'fail' | 'warn'; follows?: string[] };
  }
  const legacy = 'iptables-legacy';
  const inet = (hook: string, policy: string, ...rules: string[]): string[] => [
    'nft add table inet filter',
    `nft add chain inet filter ${hook} { type filter hook ${hook} priority 0 ; policy ${policy} ; }`,
    ...rules.map((rule) => `nft add rule inet filter ${hook} ${rule}`),
  ];
  const noInet = ['nft delete table inet filter'];
  const FIREWALLS: readonly Firewall[] = [
    {
      setup: 'REJECT ahead of our jump',
      lines: ['iptables -I FORWARD -j REJECT'],
      undo: ['iptables -D FORWARD 1'],
      found: {
        id: 'forward-policy',
        text: /"-A FORWARD -j REJECT[^"]*" \(iptables filter FORWARD, rule 1\)/,
        fix: /iptables -t filter -D FORWARD 1$/,
      },
    },
    {
      setup: 'DROP in mangle FORWARD',
      lines: ['iptables -t mangle -A FORWARD -o flannel+ -j DROP'],
      undo: ['iptables -t mangle -D FORWARD -o flannel+ -j DROP'],
      found: { id: 'forward-policy', text: /mangle FORWARD, rule \d/, fix: /-t mangle -I FORWARD/ },
    },
    {
      setup: 'DROP in raw PREROUTING',
      lines: ['iptables -t raw -A PREROUTING -i eth0 -p udp -m multiport --dports 53,8472 -j DROP'],
      undo: ['iptables -t raw -F'],
      found: { id: 'port-blocked', text: /raw PREROUTING/, fix: /-p udp --dport 8472 -j ACCEPT/ },
    },
    {
      setup: 'INPUT DROP, answers only',
      lines: [
        'iptables -A INPUT -i flannel.1 -j ACCEPT',
        'iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
        'iptables -P INPUT DROP',
      ],
      undo: ['iptables -P INPUT ACCEPT', 'iptables -F INPUT'],
      found: {
        id: 'port-blocked',
        text: /policy of iptables filter INPUT/,
        fix: /^iptables -t filter -I INPUT -p udp --dport 8472 -j ACCEPT$/,
      },
    },
    {
      setup: 'INPUT DROP with a rule for 8472',
      lines: [
        'iptables -A INPUT -i flannel.1 -j ACCEPT',
        'iptables -A INPUT -p udp --dport 8472 -j ACCEPT',
        'iptables -P INPUT DROP',
      ],
      undo: ['iptables -P INPUT ACCEPT', 'iptables -F INPUT'],
    },
    {
      setup: 'OUTPUT drops what weft sends',
      lines: ['iptables -A OUTPUT -p udp --dport 8000:9000 -j DROP'],
      undo: ['iptables -F OUTPUT'],
      found: { id: 'port-blocked', text: /weft sends.*filter OUTPUT/, fix: /-I OUTPUT/ },
    },
    {
      setup: 'a drop for another port',
      lines: [
        'iptables -I INPUT -p udp --dport 8473 -j DROP',
        ...inet('input', 'accept', 'udp dport 8471 drop'),
      ],
      undo: ['iptables -D INPUT 1', ...noInet],
    },
    {
      setup: 'nft inet filter, forward policy drop',
      lines: inet('forward', 'drop', 'ct state established,related accept'),
      undo: noInet,
      found: {
        id: 'forward-policy',
        text: /policy of nft inet filter forward/,
        fix: /^nft insert rule inet filter forward ip saddr 10\.244\.0\.0\/16 ip daddr/,
      },
    },
    {
      setup: 'nft inet filter, closed but for ours',
      lines: inet(
        'forward',
        'drop',
        'ct state established,related accept',
        'ip saddr 10.244.0.0/16 ip daddr 10.244.0.0/16 accept',
      ),
      undo: noInet,
    },
    {
      setup: 'the reach port is closed',
      lines: inet('input', 'accept', 'tcp dport != { 22, 80 } reject'),
      undo: noInet,
      found: {
        id: 'reach-blocked',
        text: /handle \d+/,
        fix: /tcp dport 8474 accept/,
        status: 'warn',
      },
    },
    {
      setup: 'nobody can say',
      lines: ['iptables -I FORWARD -m string --string abc --algo bm -j DROP'],
      undo: ['iptables -D FORWARD 1'],
      found: {
        id: 'forward-policy',
        text: /may be dropped.*judged/,
        fix: /-D FORWARD 1/,
        status: 'warn',
      },
    },
    {
      setup: 'iptables-legacy',
      lines: [`${legacy} -A INPUT -i eth+ -p udp --dport 8472 -j DROP`],
      undo: [`${legacy} -F INPUT`],
      found: {
        id: 'port-blocked',
        text: /iptables-legacy filter INPUT/,
        fix: /^.*iptables-legacy -t filter -D INPUT 1$/,
      },
    },
    {
      setup: 'a netdev chain of the interface',
      lines: [
        'nft add table netdev early',
        'nft add chain netdev early in { type filter hook ingress device eth0 priority 0 ; }',
        'nft add rule netdev early in udp dport 8472 drop',
      ],
      undo: ['nft delete table netdev early'],
      found: {
        id: 'port-blocked',
        text: /nft netdev early in/,
        fix: /nft delete rule netdev early in handle/,
      },
    },
    {
      setup: 'a bridge chain drops IP of pods',
      lines: [
        'ip link add cni0 mtu 1450 type bridge',
        'ip addr add POD/32 dev cni0',
        'nft add table bridge own',
        'nft add chain bridge own in { type filter hook input priority 0 ; }',
        'nft add rule bridge own in ether type ip drop',
      ],
      undo: ['nft delete table bridge own', 'ip link delete cni0'],
      found: {
        id: 'forward-policy',
        text: /nft bridge own in/,
        fix: /nft insert rule bridge own in/,
      },
    },
  ];

  it('16 a firewall drops: which rule, where, and how to go round it', async () => {
    const subnet = (await statusOf(node())).lease.key.replace(/\.0-24$/, '.77');
    const run = async (lines: readonly string[]): Promise<void> => {
      for (const line of lines) {
        const [command = '', ...words] = line.replace('POD', subnet).split(' ');
        await node().namespace.exec(command, words);
      }
    };
    for (const { setup, lines, undo, found } of FIREWALLS) {
      const mend = once(() => run(undo));
      repair(mend);
      await run(lines);
      const result = await doctor([LOCAL]);
      await mend();
      if (found) {
        assertFound(setup, result, found.id, found.fix, found.status, found.follows);
        assert.match(result.rows.find(({ id }) => id === found.id)?.text ?? '', found.text, setup);
        continue;
      }
      const bad = result.rows.filter(({ status }) => status === 'fail' || status === 'warn');
      assert.deepEqual(bad, [], setup);
    }
  });

  it('12 a peer that holds our old MAC', async () => {
    await kernel().stopFollowing();
    const neighbour = (
      await node().namespace.ip('-br', '-4', 'addr', 'show', 'dev', 'flannel.1')
    ).stdout.match(/10\.\d+\.\d+\.\d+/)?.[0] as string;
    const old = '02:00:00:00:00:99';
    const peer = kernel().namespace;
    await peer.ip('neigh', 'replace', neighbour, 'lladdr', old, 'dev', 'flannel.1');
    const entry = ['fdb', 'replace', old, 'dev', 'flannel.1', 'dst', '10.99.0.1'];
    await peer.exec('bridge', entry);
    const mac = (
      await node().namespace.exec('cat', [path.join(node().stateDir, 'state.json')])
    ).stdout.match(/([0-9a-f]{2}:){5}[0-9a-f]{2}/)?.[0] as string;
    repair(() => peer.ip('neigh', 'replace', neighbour, 'lladdr', mac, 'dev', 'flannel.1'));
    const found = await doctor();
    assertFound('peer with a stale MAC', found, 'stale-mac', /on 10\.99\.0\.3/, 'fail', [
      'overlay-reach',
      'drops',
    ]);
  });

  it('17 a rule sends what is for a peer elsewhere: nothing comes to weft', async () => {
    const peer = (await statusOf(lab.weftNodes[1] as WeftNode)).lease.key.replace('-24', '/24');
    const away = ['type', 'veth', 'peer', 'name', 'away1'];
    await node().namespace.ip('link', 'add', 'away0', ...away);
    repair(() => node().namespace.ip('link', 'delete', 'away0'));
    await node().namespace.ip('link', 'set', 'away1', 'up');
    await node().namespace.ip('link', 'set', 'away0', 'up');
    await node().namespace.ip('route', 'add', 'default', 'dev', 'away0', 'table', '77');
    await node().namespace.ip('rule', 'add', 'to', peer, 'table', '77');
    repair(() => node().namespace.ip('rule', 'delete', 'to', peer, 'table', '77'));
    const found = await doctor();
    assertFound(
      'policy rule for a peer',
      found,
      'overlay-reach',
      /^ip route get 10\.244\./,
      'fail',
    );
    const text = found.rows.find(({ id }) => id === 'overlay-reach')?.text ?? '';
    assert.match(text, /through away0/);
    assert.doesNotMatch(text, /drops UDP/);
  });

  it('18 the daemon of a peer is dead: one finding says it', async () => {
    const second = lab.weftNodes[1] as WeftNode;
    repair(() => second.start());
    await second.kill();
    const found = await doctor();
    const fix = /start weftd or flanneld there/;
    assertFound('a peer without a daemon', found, 'udp-shape', fix);
  });

  it('19 the doctor itself is counted as a fault by no peer', async () => {
    const second = lab.weftNodes[1] as WeftNode;
    const faults = async (): Promise<unknown> => (await statusOf(second)).drops.inbound;
    const before = await faults();
    const { code } = await doctor();
    assert.equal(code, 0);
    assert.deepEqual(await faults(), before);
  });

  it('20 an ordinary user: what only root can see is skipped, and the first line says so', async () => {
    const user = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--no-new-privs'];
    const { code, rows } = await doctor([LOCAL], user);
    const bad = rows.filter(({ status }) => status === 'fail' || status === 'warn');
    assert.deepEqual(bad, []);
    assert.equal(code, 0);
    const ids = ['tun-device', 'capabilities', 'port-taken', 'device-conflict', 'forward-policy'];
    for (const id of [...ids, 'daemon'])
      assert.equal(rows.find((row) => row.id === id)?.text, 'only root can look', id);
    const line = [process.execPath, projectBinary('weft'), 'doctor', LOCAL];
    const options = { allowFailure: true, timeoutMs: 30_000 };
    const [command = '', ...words] = [...user, ...line, '--admin-socket', node().adminSocket];
    const { stdout } = await node().namespace.exec(command, words, options);
    assert.match(stdout, /^not root: \d+ checks skipped; run: sudo weft doctor\n/);
  });

  it('21 all subnets are leased', async () => {
    const { lease } = await statusOf(node());
    const only = lease.key.replace('-24', '');
    const file = path.join(lab.storeDir, 'config');
    const config = { Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } };
    repair(() => writeFileSync(file, JSON.stringify(config)));
    writeFileSync(file, JSON.stringify({ ...config, SubnetMin: only, SubnetMax: only }));
    const found = await doctor([LOCAL]);
    assertFound('no subnet is left', found, 'network-room', /widen Network/, 'warn');
    assert.match(found.rows.find(({ id }) => id === 'network-room')?.text ?? '', /1 of 1 leased/);
  });

  it('13 Network overlaps a route of the host', async () => {
    await node().namespace.ip('route', 'add', '10.244.128.0/17', 'dev', 'eth0');
    repair(() => node().namespace.ip('route', 'delete', '10.244.128.0/17'));
    assertFound('host route inside Network', await doctor([LOCAL]), 'network-overlap', /Network/);
  });

  it('15 strict reverse path filter', async () => {
    repair(() => node().namespace.sysctl({ 'net/ipv4/conf/flannel.1/rp_filter': 0 }));
    await node().namespace.sysctl({ 'net/ipv4/conf/flannel.1/rp_filter': 1 });
    const found = await doctor([LOCAL]);
    assertFound('rp_filter = 1', found, 'rp-filter', /flannel\.1\/rp_filter=2/, 'warn');
  });

  it('14 the own lease is in the hands of another node', async () => {
    const { lease } = await statusOf(node());
    const value = (await lab.board.read()).get(lease.key) as string;
    const foreign = value.replace('10.99.0.1', '10.99.0.77');
    repair(() => lab.board.write(lease.key, value));
    await lab.board.write(lease.key, foreign);
    await until('the daemon sees it', async () => (await statusOf(node())).lease.state === 'taken');
    assertFound(
      'lease taken by another node',
      await doctor(),
      'lease-state',
      /restart weftd/,
      'fail',
      // The peers follow the store, and send to the other node.
      ['overlay-reach'],
    );
  });

  it('3 port taken: by a process, by a kernel vxlan device', async () => {
    repair(() => node().start());
    await node().stop();
    const script = `require('dgram').createSocket('udp4').bind(8472, () => console.log('bound')).unref; setInterval(() => {}, 1e6)`;
    const squatter = node().namespace.spawn(process.execPath, ['-e', script]);
    const evict = once(() => squatter.stop());
    repair(evict);
    await squatter.waitForOutput(/bound/);
    const follows = ['daemon'];
    const byProcess = await doctor([LOCAL, ...flags()]);
    const kill = new RegExp(`kill ${squatter.pid}`);
    assertFound('UDP 8472 held by a process', byProcess, 'port-taken', kill, 'fail', follows);
    await evict();
    const device = ['type', 'vxlan', 'id', '77', 'dev', 'eth0', 'dstport', '8472'];
    await node().namespace.ip('link', 'add', 'vx77', ...device);
    repair(() => node().namespace.ip('link', 'delete', 'vx77'));
    await node().namespace.ip('link', 'set', 'vx77', 'up');
    const byKernel = await doctor([LOCAL, ...flags()]);
    const fix = /^ip link delete vx77$/;
    assertFound('UDP 8472 held by kernel vxlan', byKernel, 'port-taken', fix, 'fail', follows);
  });
});
