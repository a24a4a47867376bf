/** Options of parts that do not exist yet, and the checks behind the parser. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { weftdCompletion } from '../../../src/cli/completion/weftd.ts';
import { FEATURE, FEATURES_ALL } from '../../../src/memory/layout.ts';
import { helpText, parseFlags } from '../../../src/options/flags.ts';
import { environmentName, OPTIONS } from '../../../src/options/options.ts';
import { parseOffload, settingsWarnings, toSettings } from '../../../src/options/settings.ts';

const STORE = '--store=file:/s';
const parse = (...words: string[]) => {
  const parsed = parseFlags(words, {});
  assert.ok(parsed.kind === 'run');
  return parsed.values;
};

test('the option table: unique names, an environment variable and help for each', () => {
  const names = OPTIONS.map((option) => option.name);
  assert.equal(new Set(names).size, names.length);
  const help = helpText();
  for (const option of OPTIONS) {
    assert.match(environmentName(option), /^FLANNELD_[A-Z0-9_]+$/);
    assert.ok(help.includes(`--${option.name} `), option.name);
  }
  assert.ok(help.indexOf('--etcd-prefix') < help.indexOf('--admin-socket'), "flannel's first");
});

test('Kubernetes: the Node by its name or by its pod, the flags as flannel names them', () => {
  const values = parse('--kube-subnet-mgr', '--kube-api-url=http://127.0.0.1:8080');
  assert.deepEqual(toSettings(values, { NODE_NAME: 'n1' }).store, {
    kind: 'kubernetes',
    apiUrl: 'http://127.0.0.1:8080',
    kubeconfigFile: '',
    annotationPrefix: 'flannel.alpha.coreos.com',
    configFile: '/etc/kube-flannel/net-conf.json',
    setsCondition: true,
    nodeName: 'n1',
    podName: '',
    podNamespace: '',
  });
  toSettings(values, { POD_NAME: 'p', POD_NAMESPACE: 'kube-weft' });
  for (const environment of [{}, { POD_NAME: 'p' }, { POD_NAMESPACE: 'x' }])
    assert.throws(() => toSettings(values, environment), {
      exitCode: 2,
      message: /which Node is this\? Set NODE_NAME/,
    });
  const both = parse(STORE, '--kube-subnet-mgr');
  assert.throws(() => toSettings(both, { NODE_NAME: 'n1' }), {
    exitCode: 2,
    message: /--kube-subnet-mgr and --store/,
  });
  const prefix = parse('--kube-subnet-mgr', '--kube-annotation-prefix=Example');
  assert.throws(() => toSettings(prefix, { NODE_NAME: 'n1' }), { exitCode: 2 });
});

test('what has no effect is warned about by name', () => {
  const tuned = parse(STORE, '--log_backtrace_at=a.go:1', '--vmodule=a=1');
  toSettings(tuned);
  assert.deepEqual(
    settingsWarnings(tuned).map(({ option }) => option),
    ['vmodule', 'log_backtrace_at'],
  );
  assert.deepEqual(settingsWarnings(parse(STORE)), []);
});

test("etcd settings: flannel's defaults, blanks forgiven, prefix joined as Go does", () => {
  const etcd = (...words: string[]) => {
    const { store } = toSettings(parse(...words));
    assert.ok(store.kind === 'etcd');
    return store;
  };
  assert.deepEqual(etcd().endpoints, ['http://127.0.0.1:4001', 'http://127.0.0.1:2379']);
  assert.equal(etcd().prefix, '/coreos.com/network');
  assert.equal(etcd('-etcd-prefix=a//b/').prefix, 'a/b', 'without a slash at its head too');
  assert.equal(etcd('-etcd-prefix=/a/./b').prefix, '/a/b');
  assert.deepEqual(etcd('-etcd-endpoints=https://a:1 , https://[::1]:2/').endpoints, [
    'https://a:1',
    'https://[::1]:2',
  ]);
  const plain = '-etcd-endpoints=10.0.0.1:2379,[::1]:2379,etcd.example:2379';
  assert.deepEqual(etcd(plain).endpoints, [
    'http://10.0.0.1:2379',
    'http://[::1]:2379',
    'http://etcd.example:2379',
  ]);
  assert.equal(etcd(plain, '-etcd-cafile=/ca.pem').endpoints[0], 'https://10.0.0.1:2379');
  for (const bad of [
    '--etcd-endpoints=',
    '--etcd-endpoints=ftp://10.0.0.1:2379',
    '--etcd-endpoints=http://user:secret@h:1',
    '--etcd-keyfile=/k',
    '--etcd-password=secret',
  ]) {
    const name = bad.slice(2).split('=')[0] as string;
    assert.throws(
      () => toSettings(parse(bad)),
      (error: Error) => error.message.includes(name) && !error.message.includes('secret'),
    );
  }
});

test("host settings: rules, health server, patterns in Go's spelling", () => {
  const settings = toSettings(
    parse(
      STORE,
      '--ip-masq',
      '--healthz-port=8081',
      '--iptables-resync=9',
      '--iface-regex=(?i)^ETH',
    ),
  );
  assert.equal(settings.masquerade, true);
  assert.equal(settings.resyncMs, 9000);
  assert.deepEqual([settings.healthAddress, settings.healthPort], ['0.0.0.0', 8081]);
  assert.ok(settings.interfacePatterns[0]?.test('eth0'));
});

test('workers, levels, patterns and addresses are checked', () => {
  assert.ok(toSettings(parse(STORE, '--workers=auto')).workers >= 1);
  assert.equal(toSettings(parse(STORE, '--workers=3')).workers, 3);
  assert.equal(toSettings(parse(STORE, '--log-level=warn')).logLevel, 'warn');
  assert.equal(toSettings(parse(STORE, '-v=1')).logLevel, 'debug');
  for (const bad of [
    '--workers=0',
    '--log-level=loud',
    '--iface-regex=(',
    '--iface-can-reach=example.org',
    '--source-check=no',
    '--offload=constructor',
    '--store=redis',
    '--healthz-port=65536',
    '--healthz-ip=localhost',
    '--iptables-resync=0',
    '--public-ip=fd00::1',
    '--public-ipv6=192.0.2.1',
  ]) {
    const name = bad.slice(2).split('=')[0] as string;
    assert.throws(() => toSettings(parse(STORE, bad)), { exitCode: 2, message: new RegExp(name) });
  }
});

test('every word and bound of the table is the one that is checked, and stands in the help', () => {
  const set = (name: string, value: string | number) => () =>
    toSettings(parse(STORE, `--${name}=${value}`));
  const bounded = OPTIONS.filter(({ choices, min }) => choices ?? min !== undefined);
  assert.ok(bounded.length > 0);
  for (const { name, choices = [], min, max, word } of bounded) {
    for (const good of [...choices, ...[word, min, max].flatMap((value) => value ?? [])])
      assert.doesNotThrow(set(name, good), `${name} ${good}`);
    const bad = min === undefined ? ['', `${choices[0]}x`] : [min - 1, (max as number) + 1];
    for (const value of bad) assert.throws(set(name, value), { options: [name] });
  }
  assert.match(helpText(), /--source-check +.* \(lease, vtep or off\) \[lease\]/);
  assert.match(helpText(), /--workers +.* \(auto or 1 to 64\) \[1\]/);
});

test('completion offers the words of the table', () => {
  const [command] = weftdCompletion().commands;
  const offered = (name: string) =>
    command?.options.find(({ names }) => names[0] === `--${name}`)?.value;
  assert.deepEqual(offered('log-level'), ['debug', 'info', 'warn', 'error']);
  assert.deepEqual(offered('workers'), ['auto', '1', '2', '4', '8']);
  assert.deepEqual(offered('store'), ['etcd', 'file:']);
  assert.equal(offered('ip-masq'), 'none');
  assert.equal(offered('healthz-port'), 'any');
  assert.equal(offered('subnet-file'), 'file');
});

test('Go stops at the first word that is no flag', () => {
  for (const end of ['word', '-', '--']) assert.equal(parse('-v=2', end, '-v=3')['v'], 2);
  assert.equal(parse('--version=false', '-v=2')['v'], 2);
});

test('offload lists', () => {
  assert.equal(parseOffload('auto'), FEATURES_ALL);
  assert.equal(parseOffload('off'), 0);
  assert.equal(parseOffload('auto,-pack'), FEATURES_ALL & ~FEATURE.pack);
  assert.equal(parseOffload('off,batch'), FEATURE.batch);
  assert.throws(() => parseOffload('turbo'), /turbo/);
});
