/** Everything of the daemon that listens: the admin socket, the web page, health and metrics. */
import { unlink } from 'node:fs/promises';
import type http from 'node:http';
import type { Node } from '../node.ts';
import type { SelfWatch } from '../observe/self-watch.ts';
import type { WorkerFault } from '../plane/supervisor.ts';
import { startAdmin } from './admin.ts';
import { startHealth } from './health.ts';
import { pagesOf } from './pages/all.ts';

export class Listeners {
  private readonly node: Node;
  private admin: http.Server | undefined;
  private health: http.Server | undefined;
  private web: http.Server | undefined;

  constructor(node: Node) {
    this.node = node;
  }

  /** Probes and people are answered from the beginning of the start. `fail` is for tests (pages/all.ts). */
  async start(
    watch: SelfWatch,
    fail?: (worker: number, fault: WorkerFault) => void,
  ): Promise<void> {
    const { node } = this;
    const { adminSocket, adminListen, healthAddress, healthPort } = node.settings;
    const pages = pagesOf(node, watch, fail);
    this.admin = await startAdmin(adminSocket, pages);
    if (adminListen) {
      const { startWeb } = await import('./web/server.ts');
      this.web = await startWeb(adminListen, pages);
    }
    if (healthPort === 0) return;
    const { metricsOf } = await import('../observe/metrics.ts'); // only here: a restart should be short
    this.health = await startHealth(healthAddress, healthPort, node, metricsOf(node, watch));
  }

  async stop(): Promise<void> {
    this.health?.close();
    this.web?.close();
    this.web?.closeAllConnections();
    if (!this.admin) return;
    this.admin.close();
    await unlink(this.node.settings.adminSocket).catch(() => undefined);
  }
}
