/** weft config check: all faults at once, where they are and what to do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkConfig } from '../../../src/options/check.ts';
import { effectiveOptions } from '../../../src/options/effective.ts';
import { parseEnvironmentFile } from '../../../src/options/environment-file.ts';
import { parseFlags } from '../../../src/options/flags.ts';
import { nearest } from '../../../src/shared/nearest.ts';

const lines = (input: Parameters<typeof checkConfig>[0]): string[] =>
  checkConfig(input).map(({ severity, where, what }) => `${severity} ${where}: ${what}`);

test('nothing is wrong with nothing, and with what the README tells', () => {
  assert.deepEqual(lines({ flags: [] }), []);
  const text = '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}';
  assert.deepEqual(
    lines({
      flags: ['--iface=eth0', '-ip-masq', '--store', 'file:/srv/weft'],
      networkConfig: { name: 'c', text },
    }),
    [],
  );
});

test('every bad flag is told, not only the first', () => {
  const found = lines({
    flags: [
      '--ifcae=eth0',
      '--workers=99',
      'stray',
      '--store=nfs',
      '--etcd-keyfile=k',
      '-healthz-port',
      'x',
    ],
  });
  assert.equal(found.length, 6);
  for (const part of [
    /ifcae.*did you mean --iface\?/,
    /--workers 99: must be/,
    /"stray" is not a flag/,
    /--store nfs/,
    /--etcd-keyfile and --etcd-certfile belong together/,
    /invalid value "x" for flag -healthz-port/,
  ])
    assert.ok(
      found.some((line) => line.startsWith('error flag: ') && part.test(line)),
      `${part} in ${found.join('\n')}`,
    );
});

test('a fault stands where its option is set, and the options that it speaks of are told by name', () => {
  const text = 'FLANNELD_KUBE_SUBNET_MGR=true\nFLANNELD_ETCD_PASSWORD=x\nFLANNELD_VMODULE=a=1\n';
  const found = checkConfig({
    flags: ['--iface-regex=(--workers'],
    environmentFile: { name: 'env', text },
  });
  assert.deepEqual(
    found.map(({ severity, where }) => `${severity} ${where}`),
    ['warning env:3', 'error env:1', 'error env:2', 'error flag'],
  );
  assert.match(found[1]?.what ?? '', /which Node is this/);
  assert.equal(found[1]?.advice, 'in the environment it is FLANNELD_KUBE_SUBNET_MGR');
  assert.match(found[2]?.what ?? '', /--etcd-password without --etcd-username/);
  assert.match(found[3]?.what ?? '', /--iface-regex/, 'what stands in a value is no option');
});

test('environment file: unknown names, bad values and refused ones, each with its line', () => {
  const text =
    '# weft\nFLANNELD_IFACE=eth0\nFLANNELD_WORKRES=2\nFLANNELD_HEALTHZ_PORT=web\nFLANNELD_WORKERS=99\nexport A=1\nOTHER=x\n';
  assert.deepEqual(lines({ flags: [], environmentFile: { name: 'env', text } }), [
    'warning env:6: "export" is for shells; systemd ignores the line',
    'error env:3: nothing reads FLANNELD_WORKRES',
    'error env:4: FLANNELD_HEALTHZ_PORT: number expected; ignored',
    'error env:5: --workers 99: must be auto or 1 to 64',
  ]);
  const [, unknown] = checkConfig({ flags: [], environmentFile: { name: 'env', text } });
  assert.equal(unknown?.advice, 'did you mean FLANNELD_WORKERS?');
});

test('environment file: comments, blanks and what is set twice, as systemd reads them', () => {
  const text = 'A= plain value \n; comment\n  # comment\n B = x\r\nA=again\nC=\n';
  const { values, lines, problems } = parseEnvironmentFile(text);
  assert.deepEqual(values, { A: 'again', B: 'x', C: '' });
  assert.deepEqual(lines, { A: 5, B: 4, C: 6 });
  assert.deepEqual(problems, [
    { line: 5, text: 'A is set twice (also on line 1); this one counts' },
  ]);
});

test('environment file: quotes count at the beginning of a value and go on over lines', () => {
  const valueOfA = (text: string): string | undefined => parseEnvironmentFile(text).values['A'];
  assert.equal(valueOfA('A="with # and \\"quotes\\" "'), 'with # and "quotes" ');
  assert.equal(valueOfA("A='single $x \\'"), 'single $x \\');
  assert.equal(valueOfA('A="over\nlines"\nB=1'), 'over\nlines');
  assert.equal(valueOfA('A="joined \\\nline, \\n is kept"'), 'joined line, \\n is kept');
  assert.equal(valueOfA(`A="two" 'parts' and a word`), 'twopartsand a word');
  assert.equal(valueOfA('A=a"b c"d'), 'a"b c"d', 'behind the first character they mean nothing');
  assert.equal(valueOfA("A=it's\nB=1"), "it's");
});

test('environment file: a "\\" keeps what follows, and joins lines', () => {
  const valueOfA = (text: string): string | undefined => parseEnvironmentFile(text).values['A'];
  assert.equal(valueOfA('A=one\\\ntwo\nB=1'), 'onetwo');
  assert.equal(valueOfA('A=one\\\n  two  \n'), 'one  two');
  assert.equal(valueOfA('A=a\\\\b\\ \n'), 'a\\b ');
  assert.equal(valueOfA('A=end\\'), 'end');
});

test('environment file: what systemd ignores is named with its line, and the next line counts', () => {
  const text = 'export A=1\\\n2\nno value\n1A=x\nB="open\nC=1';
  const { values, problems } = parseEnvironmentFile(text);
  assert.deepEqual(values, { B: 'open\nC=1' });
  assert.deepEqual(problems, [
    { line: 1, text: '"export" is for shells; systemd ignores the line' },
    { line: 3, text: 'not KEY=value; systemd ignores the line' },
    { line: 4, text: '"1A" is not a variable name; systemd ignores the line' },
    { line: 5, text: 'the quote in B is not closed' },
  ]);
});

test('network config: all faults of all parts, and keys that nothing reads', () => {
  const text = JSON.stringify({
    Network: '10.244.0.0/33',
    EnableIPv6: true,
    IPv6Network: 'fd00::/48',
    IPv6SubnetLen: 200,
    SubnetLne: 24,
    Backend: { Type: 'vxlan', VNI: 99_999_999, Prot: 8472 },
  });
  const found = lines({ flags: [], networkConfig: { name: 'c', text } });
  assert.equal(found.length, 5);
  assert.match(found[0] ?? '', /error c \(network config\): Backend\.VNI 99999999/);
  assert.match(found[1] ?? '', /Network "10\.244\.0\.0\/33" is not an IPv4 network/);
  assert.match(found[2] ?? '', /IPv6SubnetLen 200/);
  assert.match(found[3] ?? '', /warning .*nothing reads SubnetLne/);
  assert.match(found[4] ?? '', /warning .*nothing reads Backend\.Prot/);
});

test('network config: no JSON, wrong types, and parts that do not fit each other', () => {
  const one = (text: string): string[] => lines({ flags: [], networkConfig: { name: 'c', text } });
  assert.match(one('{')[0] ?? '', /not valid JSON/);
  assert.match(one('[]')[0] ?? '', /error/);
  assert.equal(one('{"Network":5,"Backend":{"VNI":"x"}}').length, 2);
  const udp =
    '{"Network":"10.0.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48","Backend":{"Type":"udp"}}';
  assert.match(one(udp)[0] ?? '', /udp backend carries IPv4 only/);
  assert.match(
    one('{"Network":"10.0.0.0/16","Backend":{"Type":"ipip"}}')[0] ?? '',
    /not supported/,
  );
});

test('origins: the flag wins over the environment; secrets are not shown', () => {
  const environment = {
    FLANNELD_IFACE: 'eth1',
    FLANNELD_WORKERS: '2',
    FLANNELD_ETCD_PASSWORD: 'hush',
    FLANNELD_HEALTHZ_PORT: 'web',
  };
  const parsed = parseFlags(['--iface=eth0'], environment);
  assert.ok(parsed.kind === 'run');
  const options = effectiveOptions(parsed);
  const of = (name: string): unknown[] => {
    const option = options.find((each) => each.name === name);
    return [option?.value, option?.origin];
  };
  assert.deepEqual(of('iface'), [['eth0'], 'flag']);
  assert.deepEqual(of('workers'), [2, 'environment']);
  assert.deepEqual(of('healthz-port'), [0, 'default']);
  assert.deepEqual(of('etcd-password'), ['(secret)', 'environment']);
  assert.ok(!JSON.stringify(options).includes('hush'));
});

test('the nearest name, or none', () => {
  const known = ['status', 'peers', 'routes'];
  assert.equal(nearest('statsu', known), 'status');
  assert.equal(nearest('PERS', known), 'peers');
  assert.equal(nearest('something', known), undefined);
});
