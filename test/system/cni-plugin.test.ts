/** The CNI plugin where flannel's has no recorded run, or is at fault: state, wrong input, delegates that misbehave. With sanitizers. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';
import {
  type Answer,
  JANSSON,
  type Json,
  NODE_SUBNET_ENV,
  PluginHost,
  SANITIZED_PLUGIN,
} from '../support/cni-plugin.ts';
import { temporaryFolder } from '../support/folder.ts';
import { needs } from '../support/needs.ts';

const { test } = needs('cc', JANSSON);

const hostOf = async (t: TestContext): Promise<PluginHost> =>
  new PluginHost(await temporaryFolder(t), SANITIZED_PLUGIN);

const commandsOf = (host: PluginHost): string[] =>
  host.takeCalls().map(({ command, containerID, ifname }) => `${command} ${containerID} ${ifname}`);

function assertOk(answer: Answer): void {
  assert.deepEqual([answer.exit, answer.stdout], [0, answer.stdout], JSON.stringify(answer));
}

/** The error that was printed; what is printed is short and has no control characters. */
function errorOf(answer: Answer): { code: number; msg: string; details?: string } {
  assert.equal(answer.exit, 1, JSON.stringify(answer));
  const error = answer.stdout as unknown as { code: number; msg: string; details?: string };
  assert.match(`${error.msg}${error.details ?? ''}`, /^[ -~]+$/);
  assert.ok(JSON.stringify(error).length < 8192);
  return error;
}

function assertError(answer: Answer, code: number, message: RegExp): void {
  const error = errorOf(answer);
  assert.match(error.msg, message);
  assert.equal(error.code, code, error.msg);
}

const NET1 = { CNI_IFNAME: 'net1' };

/* ---- state ---- */

test('each interface of a container has its state: one DEL leaves the other', async (t) => {
  const host = await hostOf(t);
  assertOk(host.run('ADD'));
  assertOk(host.run('ADD', { delegate: { mtu: 1300 } }, NET1));
  assert.deepEqual(Object.keys(host.saved()), ['c1', 'c1:net1']);
  host.takeCalls();
  for (let i = 0; i < 2; i++) assertOk(host.run('DEL', {}, NET1));
  const [call, ...others] = host.takeCalls();
  assert.deepEqual([call?.ifname, call?.config['mtu'], others.length], ['net1', 1300, 0]);
  assertOk(host.run('DEL'));
  assert.deepEqual(commandsOf(host), ['DEL c1 eth0']);
  assert.deepEqual(host.saved(), {});
});

test('the first interface of a container has the file that flannel looks for, whatever its name', async (t) => {
  const host = await hostOf(t);
  assertOk(host.run('ADD', {}, NET1));
  assertOk(host.run('ADD'));
  const { c1, 'c1:eth0': second } = host.saved();
  assert.equal(JSON.parse(c1?.content ?? '')['weft/interface'], 'net1');
  assert.equal(JSON.parse(second?.content ?? '')['weft/interface'], 'eth0');
});

test('a pod that flannel added is deleted, with the config that flannel kept', async (t) => {
  const host = await hostOf(t);
  const config = { cniVersion: '0.3.1', name: 'cbr0', type: 'macvlan', mtu: 1400 };
  host.writeState('c1', JSON.stringify(config));
  assertOk(host.run('DEL', {}, NET1));
  const calls = host.takeCalls();
  assert.deepEqual(
    calls.map((call) => [call.command, call.plugin, call.config]),
    [['DEL', 'macvlan', config]],
  );
  assert.deepEqual(host.saved(), {});
});

test('state is private and takes its place as a whole', async (t) => {
  const host = await hostOf(t);
  const deep = path.join(host.folder, 'a/b/data');
  assertOk(host.run('ADD', { dataDir: deep }));
  assert.equal(statSync(deep).mode & 0o777, 0o700);
  assert.equal(statSync(path.join(deep, 'c1')).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(deep), ['c1']);
});

test('what a crash left of a state goes with the next DEL', async (t) => {
  const host = await hostOf(t);
  host.writeState('.c1:eth0', '{"cni');
  assertOk(host.run('DEL'));
  assert.deepEqual(host.saved(), {});
});

test('a failed ADD is taken back; where that fails too, the DEL of the runtime does it', async (t) => {
  const host = await hostOf(t);
  host.failWith({ code: 11, msg: 'no addresses left' });
  assertError(host.run('ADD'), 11, /^no addresses left$/);
  assert.deepEqual(commandsOf(host), ['ADD c1 eth0', 'DEL c1 eth0']);
  assertError(host.run('DEL'), 11, /^no addresses left$/);
  host.failWith();
  assertOk(host.run('DEL'));
  assert.deepEqual(host.saved(), {});
});

test('an ADD that was killed halfway is deleted by the DEL of the runtime', async (t) => {
  const host = await hostOf(t);
  host.writeDelegate('macvlan', '#!/bin/sh\nkill -9 $PPID\n');
  const killed = host.run('ADD', { delegate: { type: 'macvlan' } });
  assert.equal(killed.exit, null);
  host.writeDelegate('macvlan', `#!/bin/sh\ncat > "$CNI_PATH/deleted"\n`);
  assertOk(host.run('DEL'));
  assert.ok(existsSync(path.join(host.folder, 'plugins/deleted')));
  assert.deepEqual(host.saved(), {});
});

test('a second ADD that fails leaves the running pod and its state alone', async (t) => {
  const host = await hostOf(t);
  assertOk(host.run('ADD'));
  const before = host.saved();
  host.takeCalls();
  host.failWith({ code: 999, msg: 'eth0 is there already' });
  assertError(host.run('ADD', { delegate: { mtu: 9000 } }), 999, /there already/);
  assert.deepEqual(commandsOf(host), ['ADD c1 eth0']);
  assert.deepEqual(host.saved(), before);
});

test('a broken state goes with DEL, also where subnet.env is gone', async (t) => {
  const host = await hostOf(t);
  rmSync(host.subnetFile);
  for (const content of ['', '{', '[]', '{"type": 7}', 'x'.repeat(2 << 20)]) {
    host.writeState('c1', content);
    assertOk(host.run('DEL'));
    assert.deepEqual(host.saved(), {}, content.slice(0, 20));
  }
  assert.deepEqual(commandsOf(host), []);
});

test('a state that is a symbolic link is not followed', async (t) => {
  const host = await hostOf(t);
  host.writeState('other', '{"name": "cbr0", "type": "macvlan"}');
  symlinkSync('other', path.join(host.dataDir, 'c1'));
  assertOk(host.run('DEL'));
  assert.deepEqual(
    host.takeCalls().map(({ plugin }) => plugin),
    ['bridge'],
  );
  assert.deepEqual(Object.keys(host.saved()), ['other']);
});

test('a data folder that is no folder is named', async (t) => {
  const host = await hostOf(t);
  const config = { dataDir: host.subnetFile };
  for (const command of ['ADD', 'DEL', 'GC'])
    assertError(
      host.run(command, { ...config, 'cni.dev/valid-attachments': [] }),
      999,
      /cannot keep state in ".*subnet\.env": Not a directory/,
    );
});

/* ---- CHECK, STATUS, GC ---- */

test('CHECK gives the delegate the result of ADD, and its error back', async (t) => {
  const host = await hostOf(t);
  assertOk(host.run('ADD'));
  host.takeCalls();
  const prevResult = { cniVersion: '1.1.0', ips: [{ address: '10.244.5.2/24' }] };
  assertOk(host.run('CHECK', { prevResult }));
  const [call] = host.takeCalls();
  assert.deepEqual([call?.command, call?.config['prevResult']], ['CHECK', prevResult]);
  host.failWith({ code: 100, msg: 'the interface is gone', details: 'eth0' });
  const { code, msg, details } = errorOf(host.run('CHECK', { prevResult }));
  assert.deepEqual([code, msg, details], [100, 'the interface is gone', 'eth0']);
});

test('CHECK gives routes the gateway that they have by the addresses: bridge looks for it', async (t) => {
  const host = await hostOf(t);
  assertOk(host.run('ADD'));
  host.takeCalls();
  const ips = [
    { address: '10.244.5.2/24', gateway: '10.244.5.1' },
    { address: 'fd00::2/64', gateway: 'fd00::1' },
  ];
  const routes = [
    { dst: '10.244.0.0/16' },
    { dst: '::/0' },
    { dst: '192.0.2.0/24', gw: '10.244.5.9' },
  ];
  assertOk(host.run('CHECK', { prevResult: { ips, routes } }));
  const [call] = host.takeCalls();
  const gateways = [{ gw: '10.244.5.1' }, { gw: 'fd00::1' }, { gw: '10.244.5.9' }];
  const expected = routes.map((route, i) => ({ ...route, ...gateways[i] }));
  assert.deepEqual(call?.config['prevResult'], { ips, routes: expected });
  for (const odd of [{ ips: 7, routes: [7, null] }, { routes: {} }, { ips: [{}], routes: [{}] }])
    assertOk(host.run('CHECK', { prevResult: odd }));
});

test('commands that a version of CNI has not are refused with code 1', async (t) => {
  const host = await hostOf(t);
  const refused = /needs a network config with cniVersion \d\.\d\.0 or newer; this one has/;
  assertError(host.run('CHECK', { cniVersion: '0.3.1' }), 1, refused);
  assertError(host.run('STATUS', { cniVersion: '1.0.0' }), 1, refused);
  assertError(host.run('GC', { cniVersion: undefined }), 1, refused);
  assertError(host.run('ADD', { cniVersion: '2.0.0' }), 1, /cniVersion "2\.0\.0" is not supported/);
  assert.deepEqual(commandsOf(host), []);
});

test('STATUS: not ready without subnet.env or delegate, else what the delegate says', async (t) => {
  const host = await hostOf(t);
  assertOk(host.run('STATUS'));
  assertError(
    host.run('STATUS', { delegate: { type: 'nosuch' } }),
    50,
    /"nosuch" is not in CNI_PATH/,
  );
  host.failWith({ code: 51, msg: 'no uplink' });
  assertError(host.run('STATUS'), 51, /^no uplink$/);
  host.writeSubnetEnv('FLANNEL_MTU=1450\n');
  assertError(host.run('STATUS'), 50, /is missing FLANNEL_NETWORK .* FLANNEL_IPMASQ; /);
  rmSync(host.subnetFile);
  assertError(
    host.run('STATUS'),
    50,
    /^weftd is not ready on this node: ".*" does not exist; weftd/,
  );
});

/** A config of GC in which these are alive. */
const alive = (...pairs: [containerID: string, ifname: string][]): Json => ({
  'cni.dev/valid-attachments': pairs.map(([containerID, ifname]) => ({ containerID, ifname })),
});

test('GC deletes what is not alive, of its own network, and tells the delegate', async (t) => {
  const host = await hostOf(t);
  for (const [container, ifname] of [
    ['c1', 'eth0'],
    ['c1', 'net1'],
    ['c2', 'eth0'],
  ] as const)
    assertOk(host.run('ADD', {}, { CNI_CONTAINERID: container, CNI_IFNAME: ifname }));
  assertOk(host.run('ADD', { name: 'other' }, { CNI_CONTAINERID: 'c3' }));
  for (const name of ['old', 'older'])
    host.writeState(name, JSON.stringify({ cniVersion: '1.1.0', name: 'cbr0', type: 'bridge' }));
  host.takeCalls();
  const config = alive(['c1', 'net1'], ['old', 'anything'], ['c3', 'eth1']);
  assertOk(host.run('GC', config));
  assert.deepEqual(Object.keys(host.saved()), ['c1:net1', 'c3', 'old']);
  const calls = host.takeCalls();
  const gc = calls.pop();
  const deleted = calls.map(({ command, containerID, ifname }) => [command, containerID, ifname]);
  assert.deepEqual(deleted.sort(), [
    ['DEL', 'c1', 'eth0'],
    ['DEL', 'c2', 'eth0'],
    ['DEL', 'older', 'eth0'],
  ]);
  assert.equal(gc?.command, 'GC');
  assert.deepEqual(gc?.config['cni.dev/valid-attachments'], config['cni.dev/valid-attachments']);
});

test('GC goes on behind a failure, says the first and keeps that state; without a list it does nothing', async (t) => {
  const host = await hostOf(t);
  for (const container of ['c1', 'c2'])
    assertOk(host.run('ADD', {}, { CNI_CONTAINERID: container }));
  host.takeCalls();
  assertError(host.run('GC'), 7, /valid-attachments/);
  assert.deepEqual(commandsOf(host), []);
  host.failWith({ code: 11, msg: 'busy' });
  assertError(host.run('GC', alive()), 11, /^busy$/);
  assert.deepEqual(commandsOf(host).sort(), ['DEL c1 eth0', 'DEL c2 eth0', 'GC  ']);
  assert.deepEqual(Object.keys(host.saved()), ['c1', 'c2']);
});

test('GC: null is an empty list, as Go writes it; an entry that names nobody ends it before anything is touched', async (t) => {
  const host = await hostOf(t);
  assertOk(host.run('ADD'));
  host.takeCalls();
  const key = 'cni.dev/valid-attachments';
  for (const bad of [[{ containerID: 'c1' }], ['c1'], [{ ifname: 'eth0', containerId: 'c1' }], {}])
    assertError(host.run('GC', { [key]: bad }), 7, /valid-attachments/);
  assert.deepEqual([commandsOf(host), Object.keys(host.saved())], [[], ['c1']]);
  assertOk(host.run('GC', { [key]: null }));
  const calls = host.takeCalls();
  assert.deepEqual(
    calls.map(({ command }) => command),
    ['DEL', 'GC'],
  );
  assert.deepEqual(calls[1]?.config[key], []);
  assert.deepEqual(host.saved(), {});
});

test('a pod that flannel added keeps its state when another interface comes', async (t) => {
  const host = await hostOf(t);
  const config = { cniVersion: '0.3.1', name: 'cbr0', type: 'macvlan', mtu: 1400 };
  host.writeState('c1', JSON.stringify(config));
  assertOk(host.run('ADD', {}, NET1));
  assert.deepEqual(Object.keys(host.saved()), ['c1', 'c1:net1']);
  assertOk(host.run('DEL', {}, NET1));
  host.takeCalls();
  assertOk(host.run('DEL'));
  assert.deepEqual(
    host.takeCalls().map(({ plugin }) => plugin),
    ['macvlan'],
  );
});

/* ---- wrong input ---- */

test('ids and interfaces that are none are refused before anything is touched', async (t) => {
  const host = await hostOf(t);
  for (const id of ['../c1', 'a/b', '.c1', '-c1', 'c1:eth0', 'c 1', 'c\n1', 'ä', 'c'.repeat(201)])
    assertError(
      host.run('ADD', {}, { CNI_CONTAINERID: id }),
      4,
      /^CNI_CONTAINERID ".*" is not a container id/,
    );
  for (const name of ['..', '.', 'a/b', 'a:b', 'a b', 'a\tb', 'a\x7f', 'sixteen-letters-'])
    assertError(
      host.run('DEL', {}, { CNI_IFNAME: name }),
      4,
      /^CNI_IFNAME ".*" is not an interface name/,
    );
  for (const name of ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_NETNS', 'CNI_PATH'])
    assertError(host.run('ADD', {}, { [name]: '' }), 4, new RegExp(`variable ${name} is missing`));
  assert.deepEqual([host.takeCalls(), host.saved()], [[], {}]);
  assertOk(host.run('ADD', {}, { CNI_CONTAINERID: 'c'.repeat(200), CNI_IFNAME: 'ä-fifteen-bits' }));
});

test('configs that are none are refused with what and where', async (t) => {
  const host = await hostOf(t);
  const wrong: [config: Json | string, code: number, message: RegExp][] = [
    ['[]', 6, /not a JSON object/],
    ['{"name": \n nonsense', 6, /not JSON: line 2, column \d+: "/],
    ['['.repeat(100_000), 6, /not JSON: /],
    [
      `{"name": "${'x'.repeat(1 << 20)}"}`,
      6,
      /cannot read the network config from stdin: File too/,
    ],
    ['{"name": "cbr0", "mtu": 123456789012345678901}', 6, /too big integer/],
    ['{"name": "a\\u0000b"}', 6, /not JSON: /],
    [{ name: '../x' }, 7, /name "\.\.\/x" is none/],
    [{ name: undefined }, 7, /has no "name"/],
    [{ subnetFile: 7 }, 999, /"subnetFile" must be a string/],
    [{ dataDir: {} }, 999, /"dataDir" must be a string/],
    [{ cniVersion: 1 }, 999, /"cniVersion" must be a string/],
    [{ delegate: 'bridge' }, 999, /"delegate" must be an object/],
    [{ ipam: [] }, 999, /"ipam" must be an object/],
    [{ runtimeConfig: 'x' }, 999, /"runtimeConfig" must be an object/],
    [{ ipam: { routes: {} } }, 999, /"ipam\.routes" must be a list/],
    [{ delegate: { type: '../../bin/sh' } }, 999, /"\.\.\/\.\.\/bin\/sh" is not a plugin name/],
    [{ delegate: { type: '' } }, 999, /"" is not a plugin name/],
    [{ delegate: { type: 'x\u001b[2J' } }, 999, /the plugin "x\?\[2J" is not in CNI_PATH/],
    [{ subnetFile: `/${'x'.repeat(5000)}` }, 999, /cannot read "\/x+\.\.\."/],
    [{ subnetFile: '/' }, 999, /cannot read "\/": /],
  ];
  for (const [config, code, message] of wrong) assertError(host.run('ADD', config), code, message);
  assert.deepEqual([host.takeCalls(), host.saved()], [[], {}]);
});

test('a wrong line of subnet.env is named', async (t) => {
  const host = await hostOf(t);
  const wrong: [line: string, message: RegExp][] = [
    ['FLANNEL_MTU', /line 5: FLANNEL_MTU="" has no "="; weftd writes this file when it starts/],
    ['FLANNEL_MTU=', /line 5: FLANNEL_MTU="" is not a number from 0 to 4294967295/],
    ['FLANNEL_MTU=4294967296', /line 5: FLANNEL_MTU="4294967296" is not a number/],
    ['FLANNEL_MTU=99999999999999999999999', /line 5: FLANNEL_MTU="9+" is not a number/],
    ['FLANNEL_MTU=1450 ', /line 5: FLANNEL_MTU="1450 " has blanks around its value/],
    [' FLANNEL_MTU=1450', /line 5: FLANNEL_MTU="1450" has blanks around its name/],
    ["FLANNEL_MTU='1450'", /line 5: FLANNEL_MTU="'1450'" is in quotes/],
    ['FLANNEL_SUBNET=10.244.5.1', /line 5: FLANNEL_SUBNET=.* is not an IPv4 subnet/],
    ['FLANNEL_SUBNET=10.244.5.1/33', /line 5: FLANNEL_SUBNET=.* is not an IPv4 subnet/],
    ['FLANNEL_SUBNET=010.244.5.1/24', /line 5: FLANNEL_SUBNET=.* is not an IPv4 subnet/],
    ['FLANNEL_SUBNET=10.244.5.1/24\0', /line 5: FLANNEL_SUBNET="10.244.5.1\/24\?" is not an IPv4/],
    ['FLANNEL_IPV6_SUBNET=10.244.5.1/24', /line 5: FLANNEL_IPV6_SUBNET=.* is not an IPv6 subnet/],
    ['FLANNEL_NETWORK=10.1.0.0/16,,10.2.0.0/16', /line 5: FLANNEL_NETWORK=.* not an IPv4 network/],
    ['FLANNEL_IPV6_NETWORK=fd00::/48,10.2.0.0/16', /line 5: FLANNEL_IPV6_NETWORK=.* not an IPv6/],
  ];
  for (const [line, message] of wrong) {
    host.writeSubnetEnv(`${NODE_SUBNET_ENV}${line}`);
    assertError(host.run('ADD'), 999, message);
  }
  const many = Array.from({ length: 65 }, (_, i) => `10.${i}.0.0/16`).join();
  host.writeSubnetEnv(`FLANNEL_NETWORK=${many}\n`);
  assertError(host.run('ADD'), 999, /line 1: FLANNEL_NETWORK=.*\.\.\." has more than 64 networks/);
  host.writeSubnetEnv('x'.repeat(2 << 20));
  assertError(host.run('ADD'), 999, /cannot read ".*subnet\.env": File too large/);
  assert.deepEqual(commandsOf(host), []);
});

test('two networks, IPv6 alone, line ends of Windows', async (t) => {
  const host = await hostOf(t);
  host.writeSubnetEnv(
    'FLANNEL_IPV6_NETWORK=fd00:1::/48,fd00:2:0::1/48\r\nFLANNEL_IPV6_SUBNET=fd00:1:0:5::1/64\r\n' +
      'FLANNEL_MTU=1430\r\nFLANNEL_IPMASQ=false\r\n',
  );
  assertOk(host.run('ADD'));
  const [call] = host.takeCalls();
  assert.deepEqual(call?.config['ipam'], {
    ranges: [[{ subnet: 'fd00:1:0:5::/64' }]],
    routes: [{ dst: 'fd00:1::/48' }, { dst: 'fd00:2::/48' }],
    type: 'host-local',
  });
  assert.equal(call?.config['ipMasq'], true);
});

/* ---- delegates ---- */

test('the delegate gets the runtime config and the environment', async (t) => {
  const host = await hostOf(t);
  const runtimeConfig = { portMappings: [{ hostPort: 80, containerPort: 8080 }] };
  host.writeDelegate('bridge', `#!/bin/sh\nprintf '{"args": "%s %s"}' "$CNI_ARGS" "$CNI_NETNS"\n`);
  const answer = host.run('ADD', { runtimeConfig }, { CNI_ARGS: 'K8S_POD_NAME=web' });
  const args = 'K8S_POD_NAME=web /var/run/netns/x';
  assert.deepEqual(answer.stdout, { cniVersion: '1.1.0', args });
  const content = JSON.parse(host.saved()['c1']?.content ?? '');
  assert.deepEqual(content['runtimeConfig'], runtimeConfig);
});

test('a delegate that floods, dies or talks nonsense: a short error, nothing raw, no state', async (t) => {
  const host = await hostOf(t);
  const flood = 'head -c 3000000 /dev/zero | tr "\\0" x';
  const wrong: [script: string, code: number, message: RegExp][] = [
    [flood, 999, /printed no CNI result: "x+\.\.\."/],
    [`echo '{}'; ${flood}`, 999, /printed no CNI result/],
    [`${flood} >&2; exit 3`, 999, /ended with exit code 3 and printed no CNI error/],
    ['kill -9 $$', 999, /was ended by signal 9/],
    ['printf "\\033[2J\\n\\001"', 999, /printed no CNI result: "\?\[2J \?"/],
    ['echo "[]"', 999, /printed no CNI result/],
    ['exit 1', 999, /ended with exit code 1/],
    [
      `printf %s '{"code": 12, "msg": "a\\u001b[2Jb", "details": "x\\ny"}'; exit 1`,
      12,
      /^a\?\[2Jb$/,
    ],
    [`echo '{"code": "12", "msg": 5}'; exit 1`, 999, /ended with exit code 1/],
  ];
  for (const [script, code, message] of wrong) {
    const isDel = '[ "$CNI_COMMAND" = DEL ] && exit 0';
    host.writeDelegate('bridge', `#!/bin/sh\ncat > /dev/null\n${isDel}\n${script}\n`);
    const answer = host.run('ADD');
    assertError(answer, code, message);
    assert.match(answer.stderr, /^[ -~\n]*$/);
    assert.ok(answer.stderr.length < 16_384);
    assert.deepEqual(host.saved(), {});
  }
});

test('a delegate that does not read its config, or can not be run', async (t) => {
  const host = await hostOf(t);
  host.writeDelegate('bridge', `#!/bin/sh\necho '{"cniVersion": "1.0.0"}'\n`);
  assertOk(host.run('ADD', { ipam: { filler: 'x'.repeat(500_000) } }));
  chmodSync(path.join(host.folder, 'plugins/bridge'), 0o644);
  assertError(host.run('DEL'), 999, /^cannot run the plugin ".*bridge": Permission denied/);
  assert.deepEqual(Object.keys(host.saved()), ['c1']);
});

test('CNI_PATH is a list: empty and missing folders are passed over', async (t) => {
  const host = await hostOf(t);
  const folders = `:/nonexistent:${host.folder}/plugins:/usr/lib/cni`;
  assertOk(host.run('ADD', {}, { CNI_PATH: folders }));
  assert.equal(host.takeCalls().length, 1);
});

/* ---- by hand ---- */

test('without a command it says what it is; VERSION needs nothing else', async (t) => {
  const host = await hostOf(t);
  const answer = host.run('', '');
  assert.deepEqual([answer.exit, answer.stdout], [0, '']);
  assert.match(answer.stderr, /^weft's CNI plugin \(types flannel and weft\)/);
  const version = host.run('VERSION', '', { CNI_PATH: '', CNI_CONTAINERID: '' });
  assert.equal((version.stdout as Json)['cniVersion'], '1.1.0');
  assert.ok(!existsSync(host.dataDir));
});
