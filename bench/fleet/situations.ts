/** What happens to a cluster, in the order in which it happens: each begins with what the one before left. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cost, Fleet } from './fleet.ts';

export interface Outcome {
  situation: string;
  /** what the nodes did */
  did: string;
  /** how long they wrote, s */
  writingSeconds: number;
  /** from the last write, or from what ended the fault, until all daemons have all of it, s */
  convergedSeconds: number;
  /** with converging, s */
  lastedSeconds: number;
  cost: Cost;
}

/** How large and how long. */
export interface Scale {
  nodes: number;
  churnSeconds: number;
  cutSeconds: number;
}

export interface Situation {
  name: string;
  run(fleet: Fleet, scale: Scale): Promise<Outcome>;
}

/** Nodes that restart, each second: a rolling upgrade in a hurry. */
const RESTARTS_PER_SECOND = 200;

const seconds = (ms: number): number => Math.max(0, ms) / 1000;

/** Runs `work`, which returns the unix times, ms, of its first write and of what the daemons are to converge from. */
async function observe(
  fleet: Fleet,
  situation: string,
  did: string | (() => string),
  work: () => Promise<{ startedAtMs: number; endedAtMs: number; countsFromMs?: number }>,
): Promise<Outcome> {
  const cost = fleet.meter();
  const beganMs = Date.now();
  const { startedAtMs, endedAtMs, countsFromMs = endedAtMs } = await work();
  const convergedAtMs = await fleet.converged();
  return {
    situation,
    did: typeof did === 'string' ? did : did(),
    writingSeconds: seconds(endedAtMs - startedAtMs),
    convergedSeconds: seconds(convergedAtMs - countsFromMs),
    lastedSeconds: seconds(convergedAtMs - beganMs),
    cost: cost(),
  };
}

const allStart: Situation = {
  name: 'all start at once',
  run: (fleet, { nodes }) =>
    observe(fleet, 'all start at once', `${nodes} leases as fast as etcd takes them`, () =>
      fleet.play({ what: 'put', from: 0, count: nodes, change: 0, perSecond: 0 }),
    ),
};

const rollingRestart: Situation = {
  name: 'rolling restart',
  run: (fleet, { nodes }) => {
    const did = `${nodes} new VTEP MACs, ${RESTARTS_PER_SECOND} a second`;
    return observe(fleet, 'rolling restart', did, () =>
      fleet.play({
        what: 'put',
        from: 0,
        count: nodes,
        change: 1,
        perSecond: RESTARTS_PER_SECOND,
      }),
    );
  },
};

/** In a minute a hundredth of the nodes goes, and as many others come. */
const churn: Situation = {
  name: 'churn of 1 % a minute',
  run: (fleet, { nodes, churnSeconds }) => {
    const perSecond = nodes / 100 / 60;
    const count = Math.max(1, Math.round(perSecond * churnSeconds));
    const did = `${count} leases go and ${count} come within ${churnSeconds} s`;
    return observe(fleet, 'churn of 1 % a minute', did, async () => {
      const [gone, come] = await Promise.all([
        fleet.play({ what: 'delete', from: 0, count, change: 0, perSecond }),
        fleet.play({ what: 'put', from: nodes, count, change: 0, perSecond }),
      ]);
      return {
        startedAtMs: Math.min(gone.startedAtMs, come.startedAtMs),
        endedAtMs: Math.max(gone.endedAtMs, come.endedAtMs),
      };
    });
  },
};

/** The daemons are cut off from etcd, which goes on serving the others. */
const partition: Situation = {
  name: 'partition and return',
  run: (fleet, { nodes, cutSeconds }) => {
    const count = Math.round(nodes / 10);
    const did = `the daemons are cut off from etcd for ${cutSeconds} s, ${count} MACs change meanwhile`;
    return observe(fleet, 'partition and return', did, async () => {
      await fleet.lab.linkStore('down');
      const cut = sleep(cutSeconds * 1000);
      const from = nodes - count;
      const written = await fleet.play({ what: 'put', from, count, change: 2, perSecond: 0 });
      await cut;
      await fleet.lab.linkStore('up');
      return { ...written, countsFromMs: Date.now() };
    });
  },
};

/**
 * Half of all leases vanish one by one. Daemons keep the peers of leases that go at once, and let go those that went one after the other
 * over more than a few seconds (control/membership/table-guard.ts): how many were kept depends on how fast etcd is.
 */
const massDeletion: Situation = {
  name: 'mass deletion and return',
  run: (fleet, { nodes }) => {
    const count = Math.floor(nodes / 2);
    const from = nodes - count;
    let kept = 0;
    const did = (): string =>
      `${count} leases go as fast as etcd takes it, ${kept} of the peers are kept, and all come back`;
    return observe(fleet, 'mass deletion and return', did, async () => {
      await fleet.play({ what: 'delete', from, count, change: 0, perSecond: 0 });
      kept = await fleet.sawThemGo();
      return fleet.play({ what: 'put', from, count, change: 3, perSecond: 0 });
    });
  },
};

/** Counts from the leader's death: election, the first write, and its way into the tables. */
const leaderDies: Situation = {
  name: "etcd's leader dies",
  run: async (fleet, { nodes }) => {
    const leader = fleet.members[await fleet.ctl.leader()];
    if (!leader) throw new Error('etcd has no leader');
    const from = nodes * 2;
    const did = 'SIGKILL of the leader, and 100 leases behind it';
    const outcome = await observe(fleet, "etcd's leader dies", did, async () => {
      await leader.kill();
      const killedAtMs = Date.now();
      const order = { what: 'put', from, count: 100, change: 0, perSecond: 0 } as const;
      return { ...(await fleet.play(order)), countsFromMs: killedAtMs };
    });
    await leader.start();
    await leader.waitUntilServing();
    return outcome;
  },
};

export const SITUATIONS: readonly Situation[] = [
  allStart,
  rollingRestart,
  churn,
  partition,
  massDeletion,
  leaderDies,
];

/** What etcd pays for, s of a core. */
export interface EtcdPrices {
  /** one change, for one node that watches all keys */
  perEventSeconds: number;
  /** one list of all keys */
  perListSeconds: number;
  keys: number;
}

/** A cluster's watches and lists grow with the square of its nodes: what one costs says what etcd would do first. */
export async function measureEtcd(fleet: Fleet, nodes: number): Promise<EtcdPrices> {
  const [watchers, writes, lists] = [200, 200, 20];
  const cost = async (work: () => Promise<unknown>): Promise<number> => {
    const meter = fleet.meter();
    await work();
    return meter().etcdCpuSeconds;
  };
  const order = { from: nodes * 2 + 200, change: 0, perSecond: 0 };
  const alone = await cost(() => fleet.play({ ...order, what: 'put', count: writes }));
  const watched = await cost(() =>
    fleet.play({ ...order, what: 'watch', count: watchers, writes, change: 1 }),
  );
  const listed = await cost(() => fleet.play({ ...order, what: 'list', count: lists }));
  return {
    perEventSeconds: Math.max(0, watched - alone) / (watchers * writes),
    perListSeconds: listed / lists,
    keys: fleet.changes.size,
  };
}
