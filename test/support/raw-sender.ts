/** Sends whole IP packets, whatever they say of themselves. Needs CAP_NET_RAW. */
import { loadAddon } from '../../src/memory/addon.ts';
import { makeViews } from './native/rig.ts';

export class RawSender {
  private readonly addon = loadAddon();
  private readonly views = makeViews();
  private readonly engine = this.addon.createEngine(this.views);
  private readonly fds = { 4: this.addon.openIcmp(4), 6: this.addon.openIcmp(6) };

  /** 0 or -errno. */
  send(packet: Uint8Array): number {
    this.views.pool.set(packet, 0);
    const family = (packet[0] as number) >>> 4 === 4 ? 4 : 6;
    return this.addon.icmpSend(this.engine, this.fds[family], 0, packet.length);
  }

  close(): void {
    this.addon.destroyEngine(this.engine);
    for (const fd of Object.values(this.fds)) this.addon.close(fd);
  }
}
