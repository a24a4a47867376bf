/** The keeper of firewall rules: what makes a node not ready, with a fake firewall. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseNetworkConfig } from '../../../src/cluster/network-config.ts';
import { createLog } from '../../../src/control/log/log.ts';
import { guardedPorts, RuleKeeper } from '../../../src/control/rules.ts';
import { exec } from '../../../src/host/exec.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const quiet = createLog('json', 'error');
quiet.level = 'silent';

test('A-32 rules that can not be installed make a node not ready, and it becomes ready when they can (fake firewall)', async () => {
  let failure: Error | undefined = new Error('iptables-restore: denied');
  const ensure = async (): Promise<string> => {
    if (failure) throw failure;
    return '';
  };
  const keeper = new RuleKeeper({ flavour: 'iptables', isAnnounced: false, ensure }, false, quiet);
  assert.notEqual(keeper.problem, '');
  await keeper.start(10);
  assert.match(keeper.problem, /denied/);
  failure = undefined;
  while (keeper.problem !== '') await new Promise((resolve) => setTimeout(resolve, 5));
  keeper.stop();
});

test('a missing tool matters only to masquerading, because plugins are told to leave that to us (fake firewall)', async () => {
  const ensure = (): Promise<string> => exec('iptables-of-nowhere', ['-S']);
  for (const masquerades of [false, true]) {
    const keeper = new RuleKeeper(
      { flavour: 'iptables', isAnnounced: false, ensure },
      masquerades,
      quiet,
    );
    await keeper.start(60_000);
    keeper.stop();
    assert.equal(keeper.problem === '', !masquerades);
  }
});

test('rules whose changes are announced are looked at on news and seldom besides, others every time (fake firewall)', async () => {
  for (const isAnnounced of [true, false]) {
    const clock = new FakeClock();
    let looks = 0;
    const ensure = async (): Promise<string> => {
      looks++;
      return '';
    };
    const keeper = new RuleKeeper({ flavour: 'iptables', isAnnounced, ensure }, true, quiet, clock);
    await keeper.start(5_000);
    const looksIn = async (ms: number): Promise<number> => {
      const before = looks;
      await clock.move(ms);
      return looks - before;
    };
    assert.equal(await looksIn(60_000), 12, 'nobody listens yet');
    keeper.listen();
    assert.equal(await looksIn(1_000), 1, 'what changed before');
    assert.equal(await looksIn(65_000), isAnnounced ? 2 : 13);
    keeper.hear([{ about: 'firewall', gone: false, device: 0, table: 0, protocol: 0 }]);
    assert.ok((await looksIn(1_000)) >= 1);
    keeper.stop();
  }
});

test('guarded are the ports of the encapsulation, as configured, and of reachability, where it is on', () => {
  const ports = (backend: object, reachPort = 8474): string[] => {
    const config = parseNetworkConfig(
      JSON.stringify({ Network: '10.244.0.0/16', Backend: backend }),
    );
    return guardedPorts(config, { reachPort }).map(
      ({ protocol, port, underlay }) => `${protocol} ${port}${underlay ? ' underlay' : ''}`,
    );
  };
  assert.deepEqual(ports({ Type: 'vxlan' }), ['udp 8472 underlay', 'tcp 8474']);
  assert.deepEqual(ports({ Type: 'vxlan', Port: 4789 }, 0), ['udp 4789 underlay']);
  assert.deepEqual(ports({ Type: 'udp' }, 9000), ['udp 8285 underlay', 'tcp 9000']);
  assert.deepEqual(ports({ Type: 'host-gw' }), [], 'nothing is encapsulated');
});
