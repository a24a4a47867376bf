/**
 * An addon that moves nothing: every receive finds the batch that was laid into the pool, every send succeeds. What is left of a
 * breath is what TypeScript does with its packets.
 */
import { type Addon, type EngineViews, loadAddon } from '../../src/memory/addon.ts';

/** Bits of wait() for the one link. */
export const READY = { tun: 1, udp: 2 } as const;

export interface StillAddon {
  addon: Addon;
  /** what the engine was made of; there when it is */
  views(): EngineViews;
}

/** `ready` is what every wait says, `batch` lays rows of the ready side and returns their number. */
export function stillAddon(ready: number, batch: (views: EngineViews) => number): StillAddon {
  let made: EngineViews | undefined;
  const views = (): EngineViews => made as EngineViews;
  const receive = (): number => batch(views());
  const addon: Addon = {
    ...loadAddon(),
    createEngine: (given) => {
      made = given;
      return 0;
    },
    attachLink: () => 0,
    destroyEngine: () => undefined,
    wait: () => ready,
    tunReceive: receive,
    udpReceive: receive,
    tunSend: () => 0,
    udpSend: () => 0,
  };
  return { addon, views };
}
