/** What others do to a node: those of lab/host-faults.ts, and some that last longer. */
import { setTimeout as sleep } from 'node:timers/promises';
import { UNDERLAY_DEVICE } from '../fabric.ts';
import { HOST_FAULTS, type HostFault } from '../host-faults.ts';
import type { FaultKind } from './fault.ts';
import type { Scene } from './scene.ts';

const HOST = {
  group: 'host',
  target: 'weft',
  touches: 'target',
  loses: true,
} as const;
/** A deleted device takes half a second on an idle machine, all others less (docs/performance). */
const BOUND_MS = 3_000;
/** Without kernel news upkeep looks every 5 s. */
const HEAL_MS = 10_000;

function onWeft({ name, lastsMs, prepare, happen }: HostFault): FaultKind {
  return {
    name,
    ...HOST,
    heldMs: [lastsMs, lastsMs],
    boundMs: BOUND_MS,
    healMs: HEAL_MS,
    ...(prepare && {
      prepare: async ({ lab }: Scene) => {
        for (const node of lab.weftNodes) await prepare(node);
      },
    }),
    happen: (scene, { target }) => happen(scene.weft(target)),
  };
}

export const LONG_HOST_FAULTS: readonly FaultKind[] = [
  {
    name: 'firewall flushed',
    ...HOST,
    heldMs: [0, 0],
    boundMs: BOUND_MS,
    healMs: HEAL_MS,
    async happen(scene, { target }) {
      for (const tool of ['iptables', 'ip6tables'])
        for (const table of ['filter', 'nat'])
          await scene.weft(target).namespace.exec(tool, ['-t', table, '-F']);
    },
  },
  {
    name: 'underlay down for seconds',
    ...HOST,
    heldMs: [1_000, 8_000],
    boundMs: BOUND_MS,
    healMs: HEAL_MS,
    async happen(scene, { target, heldMs }) {
      const { namespace, underlay } = scene.weft(target);
      await namespace.ip('link', 'set', UNDERLAY_DEVICE, 'down');
      await sleep(heldMs);
      await namespace.ip('link', 'set', UNDERLAY_DEVICE, 'up');
      // The kernel takes the IPv6 addresses of a device that goes down; whoever set them up gives them again.
      await namespace.ip(
        'addr',
        'replace',
        `${underlay.address6}/64`,
        'dev',
        UNDERLAY_DEVICE,
        'nodad',
      );
    },
  },
  {
    name: "underlay's addresses flushed",
    ...HOST,
    heldMs: [200, 5_000],
    boundMs: BOUND_MS,
    healMs: HEAL_MS,
    async happen(scene, { target, heldMs }) {
      const { namespace, underlay } = scene.weft(target);
      await namespace.ip('addr', 'flush', 'dev', UNDERLAY_DEVICE, 'scope', 'global');
      await sleep(heldMs);
      await namespace.ip('addr', 'add', `${underlay.address4}/24`, 'dev', UNDERLAY_DEVICE);
      await namespace.ip('addr', 'add', `${underlay.address6}/64`, 'dev', UNDERLAY_DEVICE, 'nodad');
    },
  },
  {
    name: 'stock node with a new MAC',
    group: 'kernel',
    target: 'kernel',
    needsStore: true,
    touches: 'target',
    loses: true,
    heldMs: [0, 0],
    boundMs: BOUND_MS,
    healMs: HEAL_MS,
    async happen({ kernel }) {
      await kernel.changeMac();
      await kernel.catchUp();
    },
  },
  ...([-7_200, 3_600, 90_000] as const).map(
    (offsetSeconds): FaultKind => ({
      // 25 hours: all leases have ended long ago by this clock.
      name: `clock moved by ${offsetSeconds / 3_600} h`,
      group: 'clock',
      target: 'clocked',
      touches: 'nobody',
      loses: false,
      heldMs: [1_000, 8_000],
      boundMs: 0,
      // The daemon compares clocks once a minute.
      healMs: 75_000,
      async happen({ clock }, { heldMs }) {
        clock.move(offsetSeconds);
        await sleep(heldMs);
        clock.move(0);
      },
    }),
  ),
];

export const SOAK_HOST_FAULTS: readonly FaultKind[] = [
  ...HOST_FAULTS.map(onWeft),
  ...LONG_HOST_FAULTS,
];
