/** A daemon in a cluster of many nodes, which are played on a real etcd of three members: bench:fleet in short. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { run } from '../../lab/command.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';

const { it } = needs('root');

it('two daemons have exactly the peers of the store after starts, restarts, churn, a partition, a mass deletion, a dead leader', async () => {
  const program = path.join(projectRoot(), 'dist/bench/fleet/main.js');
  const args = [program, '--nodes', '200', '--daemons', '2', '--quick', '--json'];
  const { stdout } = await run(process.execPath, args, { timeoutMs: 800_000 });
  const { nodes, outcomes } = JSON.parse(stdout) as {
    nodes: number;
    outcomes: { situation: string; cost: { daemonMemoryMb: number } }[];
  };
  assert.equal(nodes, 200);
  assert.equal(outcomes.length, 6);
  for (const { situation, cost } of outcomes) assert.ok(cost.daemonMemoryMb > 0, situation);
});

it('a wrong option ends with exit code 2 and is named', async () => {
  const program = path.join(projectRoot(), 'dist/bench/fleet/main.js');
  for (const args of [['--nodes', '7'], ['--daemons=x'], ['--nonsense']]) {
    const { code, stderr } = await run(process.execPath, [program, ...args], {
      allowFailure: true,
    });
    assert.equal(code, 2);
    assert.match(stderr, /--nodes|--daemons|--nonsense/);
  }
});
