/** A daemon that ends, is killed, stands still, loses a thread or is told to read its config anew. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultKind } from './fault.ts';

/** RestartSec of the unit. */
const RESTART_MS = 250;

export const DAEMON_FAULTS: readonly FaultKind[] = [
  {
    name: 'daemon restarted',
    ...{ group: 'daemon', target: 'mortal', needsStore: true, touches: 'target', loses: true },
    heldMs: [0, 2_000],
    boundMs: 5_000,
    healMs: 10_000,
    async happen(scene, { target, heldMs, over }) {
      await scene.weft(target).stop();
      await sleep(heldMs);
      over();
      await scene.weft(target).start();
    },
  },
  {
    name: 'daemon killed',
    ...{ group: 'daemon', target: 'mortal', needsStore: true, touches: 'target', loses: true },
    heldMs: [RESTART_MS, RESTART_MS],
    boundMs: 5_000,
    healMs: 10_000,
    async happen(scene, { target, heldMs, over }) {
      await scene.weft(target).kill();
      await sleep(heldMs);
      over();
      await scene.weft(target).start();
    },
  },
  {
    // Packets wait in its queues and sockets.
    name: 'daemon frozen',
    ...{ group: 'daemon', target: 'weft', touches: 'target', loses: false },
    heldMs: [1_000, 6_000],
    boundMs: 1_000,
    healMs: 10_000,
    async happen(scene, { target, heldMs }) {
      scene.weft(target).signal('SIGSTOP');
      await sleep(heldMs);
      scene.weft(target).signal('SIGCONT');
    },
  },
  {
    // What it had in hand is lost, the rest waits.
    name: 'worker failed',
    ...{ group: 'daemon', target: 'weft', touches: 'target', loses: true },
    heldMs: [0, 0],
    boundMs: 2_000,
    healMs: 10_000,
    async happen(scene, { target }) {
      await scene.weft(target).page('/fault?worker=0'); // only a daemon with WEFT_FAULTS=1 has it
    },
  },
  {
    name: 'daemon reloaded',
    ...{ group: 'daemon', target: 'weft', touches: 'nobody', loses: false },
    heldMs: [0, 0],
    boundMs: 0,
    healMs: 10_000,
    async happen(scene, { target }) {
      scene.weft(target).signal('SIGHUP');
    },
  },
];
