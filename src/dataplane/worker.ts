/**
 * Entry of a worker: a piscina task that runs until the control word says stop. It owns its pool, rows and engine;
 * descriptors, counters, table and what is left for observers belong to the control thread and outlive it.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { threadId } from 'node:worker_threads';
import { type Addon, loadAddon } from '../memory/addon.ts';
import { LAYOUT } from '../memory/layout.ts';
import {
  COMMAND,
  type LinkTask,
  type SourceCheck,
  WORD,
  type WorkerResult,
  type WorkerTask,
} from '../memory/worker-task.ts';
import { closePrototypes } from '../shared/prototypes.ts';
import { Breath, type Lane } from './breath.ts';
import { BulkFlows } from './bulk-flows.ts';
import { Capture } from './capture.ts';
import { CaptureRing } from './capture-ring.ts';
import { Drops } from './drop.ts';
import type { Encap } from './encap/encap.ts';
import { createEncap, ENCAPSULATIONS, type Encapsulations } from './encap/encapsulations.ts';
import type { Gear } from './gear.ts';
import { IcmpReply } from './icmp-reply.ts';
import { Inbound } from './inbound.ts';
import { LocalAddresses } from './local-addresses.ts';
import { Outbound } from './outbound.ts';
import { Pool } from './pool.ts';
import { RouteTable } from './routes/table.ts';
import { TunOut } from './tun-out.ts';

/**
 * V8's collector. What an ended task leaves is shared memory, up to 34 MiB: V8 does not count it, and where nothing else is allocated it
 * would never collect.
 */
const collect = ((): (() => void) => {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
})();

/** Forwards until COMMAND.stop. Throws on COMMAND.fail and when the engine can't be set up. */
export function run(task: WorkerTask): WorkerResult {
  if (hardened) collect(); // what this thread's task before has left
  const addon = loadAddon();
  if (task.cpu >= 0) addon.pin(task.cpu);
  const control = new Int32Array(task.control);
  Atomics.store(control, WORD.thread, threadId);
  const forwarder = createForwarder(addon, task, ENCAPSULATIONS);
  harden(addon, control);
  let breaths = 0;
  try {
    for (;;) {
      const command = Atomics.load(control, WORD.command);
      if (command === COMMAND.stop) return { breaths };
      if (command === COMMAND.fail) throw new Error('fault injected by the control thread');
      if (command === COMMAND.hang) Atomics.wait(control, WORD.command, COMMAND.hang);
      forwarder.breath.take();
      breaths++;
    }
  } finally {
    addon.destroyEngine(forwarder.engine);
  }
}

/** The thread's program is loaded and its descriptors are open: it needs nothing else any more. A thread may take a second task. */
function harden(addon: Addon, control: Int32Array): void {
  closePrototypes();
  hardened ??= [addon.hardenCapabilities(), addon.hardenCalls()];
  const [capabilities, calls] = hardened;
  Atomics.store(control, WORD.capabilities, capabilities || 1);
  Atomics.store(control, WORD.calls, calls || 1);
}

let hardened: [capabilities: number, calls: number] | undefined;

export interface Forwarder {
  engine: number;
  breath: Breath;
}

/** Builds the engine and both directions of every link. The caller destroys the engine. */
export function createForwarder<E extends { kind: string }>(
  addon: Addon,
  task: WorkerTask<E>,
  encapsulations: Encapsulations<E>,
): Forwarder {
  const pool = new Pool();
  const counters = new Float64Array(task.counters);
  const control = new Int32Array(task.control);
  const table = new RouteTable(task.table);
  const localAddresses = new LocalAddresses(task.localAddresses);
  const engine = addon.createEngine({
    pool: pool.bytes,
    tunIn: pool.tunIn,
    udpIn: pool.udpIn,
    tunOut: pool.tunOut,
    stats: counters.subarray(0, LAYOUT.statCount),
    clock: control.subarray(WORD.clockMs, WORD.clockNs + 1),
    wakeFd: task.wakeFd,
  });
  const { peerCounters, dropSamples, capture } = task.observation;
  const drops = new Drops(counters, dropSamples, control, pool.view);
  const ring = new CaptureRing(capture, control);
  const gear: Gear = {
    addon,
    engine,
    pool,
    table,
    localAddresses,
    control,
    counters,
    peerCounters: new Float64Array(peerCounters),
    drops,
    bulkFlows: new BulkFlows(),
  };
  const links = task.links.flatMap((link) => attach(gear, link));
  // In each turn of the worker bulk flows come last.
  links.sort((a, b) => Number(a.isBulk) - Number(b.isBulk));
  const lanes = links.map((attached) => {
    const encap = createEncap(encapsulations, task.encap, attached.link, table);
    return createLane(gear, ring, attached, task.sourceCheck, encap);
  });
  return { engine, breath: new Breath(gear, lanes) };
}

/** A link, or its part for bulk flows, as the engine has it. */
interface AttachedLink {
  link: LinkTask;
  index: number;
  isBulk: boolean;
  /** of the family */
  tunOut: TunOut;
  icmp: IcmpReply;
}

/** What the engine is given for a link: one, or two where bulk flows have queues of their own. */
function attach(gear: Gear, link: LinkTask): AttachedLink[] {
  const { addon, engine } = gear;
  const indexOf = (queue: LinkTask): number =>
    addon.attachLink(engine, { ...queue, sendFds: Int32Array.from(queue.sendFds) });
  const main = indexOf(link);
  const bulkLink = link.bulk && { ...link, ...link.bulk };
  const bulk = bulkLink ? indexOf(bulkLink) : main;
  const shared = { tunOut: new TunOut(gear, main, bulk), icmp: new IcmpReply(gear, link) };
  const attached = [{ link, index: main, isBulk: false, ...shared }];
  return bulkLink
    ? [...attached, { link: bulkLink, index: bulk, isBulk: true, ...shared }]
    : attached;
}

function createLane(
  gear: Gear,
  ring: CaptureRing,
  { link, index, isBulk, tunOut, icmp }: AttachedLink,
  sourceCheck: SourceCheck,
  encap: Encap,
): Lane {
  encap.seal?.(gear.addon, gear.engine, index);
  const capture = new Capture(ring, link, gear.pool, gear.table, encap);
  return {
    index,
    isBulk,
    outbound: new Outbound(gear, index, link, encap, icmp, capture),
    inbound: new Inbound(gear, index, link, sourceCheck, encap, icmp, tunOut, capture),
  };
}
