/** A real etcd member (Debian's etcd-server) that can be killed, frozen, wiped and started again on its data. */
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Etcdctl, type EtcdctlOptions } from './etcdctl.ts';
import type { Namespace } from './namespace.ts';
import { LabProcess } from './process.ts';

export interface EtcdOptions {
  /** data and log lie here */
  folder: string;
  /** member's name; default "m1" */
  name?: string;
  /** where it runs; default is the caller's own network */
  namespace?: Namespace;
  /** default 127.0.0.1 */
  address?: string;
  clientPort: number;
  peerPort: number;
  /** members as "name=peer url"; default is this one alone */
  cluster?: readonly string[];
  /** serve by TLS; with a client CA, clients need a certificate of it */
  tls?: { certFile: string; keyFile: string; clientCaFile?: string };
  flags?: readonly string[];
}

const SERVING_MS = 60_000;

export class EtcdServer {
  readonly options: EtcdOptions;
  private process: LabProcess | undefined;

  constructor(options: EtcdOptions) {
    this.options = options;
  }

  /** A member on loopback with free ports, serving. */
  static async startAlone(folder: string, more: Partial<EtcdOptions> = {}): Promise<EtcdServer> {
    const [clientPort, peerPort] = await freePorts(2);
    const ports = { clientPort: clientPort as number, peerPort: peerPort as number };
    const server = new EtcdServer({ folder, ...ports, ...more });
    await server.start();
    await server.waitUntilServing();
    return server;
  }

  /** Its process; undefined before the first start. */
  get pid(): number | undefined {
    return this.process?.pid;
  }

  get endpoint(): string {
    const { tls, clientPort } = this.options;
    return `${tls ? 'https' : 'http'}://${this.address}:${clientPort}`;
  }

  get peerUrl(): string {
    return `http://${this.address}:${this.options.peerPort}`;
  }

  private get address(): string {
    return this.options.address ?? '127.0.0.1';
  }

  private get dataFolder(): string {
    return join(this.options.folder, `${this.options.name ?? 'm1'}.etcd`);
  }

  /** Starts the process on what data there is; see {@link waitUntilServing}. */
  async start(): Promise<void> {
    const { folder, name = 'm1', namespace } = this.options;
    mkdirSync(folder, { recursive: true });
    const log = { logFile: join(folder, `${name}.log`) };
    this.process = namespace
      ? namespace.spawn('etcd', this.flags(), log)
      : new LabProcess('etcd', this.flags(), log);
  }

  /** Waits until a read that needs the whole cluster is answered. */
  async waitUntilServing(ctl: Etcdctl = this.ctl()): Promise<void> {
    const deadline = Date.now() + SERVING_MS;
    while (!(await ctl.isHealthy())) {
      if (Date.now() > deadline || this.process?.exit !== undefined)
        throw new Error(`etcd does not serve: ${this.process?.lastLines(5)}`);
      await sleep(50);
    }
  }

  /** etcdctl for this member; `more` names TLS files and user. */
  ctl(more: Partial<EtcdctlOptions> = {}): Etcdctl {
    const { namespace } = this.options;
    return new Etcdctl({ endpoints: [this.endpoint], ...(namespace && { namespace }), ...more });
  }

  /** SIGKILL; the data stay. */
  async kill(): Promise<void> {
    await this.process?.kill();
  }

  async stop(): Promise<void> {
    this.resume();
    await this.process?.stop();
  }

  /** Frozen: connections stay open and nobody answers. */
  pause(): void {
    this.process?.signal('SIGSTOP');
  }

  resume(): void {
    this.process?.signal('SIGCONT');
  }

  /** Forgets everything it knew; stopped afterwards. */
  async wipe(): Promise<void> {
    await this.kill();
    rmSync(this.dataFolder, { recursive: true, force: true });
  }

  /** Copies the data to a new folder, as a backup does; serving before and after. */
  async backUp(to: string): Promise<void> {
    await this.stop();
    cpSync(this.dataFolder, to, { recursive: true });
    await this.start();
    await this.waitUntilServing();
  }

  /** The state of a backup in the place of the present one. */
  async restore(from: string): Promise<void> {
    await this.wipe();
    cpSync(from, this.dataFolder, { recursive: true });
    await this.start();
    await this.waitUntilServing();
  }

  private flags(): string[] {
    const { name = 'm1', tls, cluster = [`${name}=${this.peerUrl}`], flags = [] } = this.options;
    return [
      `--name=${name}`,
      `--data-dir=${this.dataFolder}`,
      `--listen-client-urls=${this.endpoint}`,
      `--advertise-client-urls=${this.endpoint}`,
      `--listen-peer-urls=${this.peerUrl}`,
      `--initial-advertise-peer-urls=${this.peerUrl}`,
      `--initial-cluster=${cluster.join(',')}`,
      // Faster than the default, because tests wait for elections.
      '--heartbeat-interval=50',
      '--election-timeout=500',
      '--log-level=warn',
      ...(tls ? [`--cert-file=${tls.certFile}`, `--key-file=${tls.keyFile}`] : []),
      ...(tls?.clientCaFile ? ['--client-cert-auth', `--trusted-ca-file=${tls.clientCaFile}`] : []),
      ...flags,
    ];
  }
}

/** Starts members that know each other; `more` holds for each. */
export async function startCluster(
  folder: string,
  count: number,
  more: Partial<EtcdOptions> = {},
  ctlOptions: Partial<EtcdctlOptions> = {},
): Promise<EtcdServer[]> {
  const ports = await freePorts(count * 2);
  const members = Array.from({ length: count }, (_, i) => ({
    name: `m${i + 1}`,
    clientPort: ports[i * 2] as number,
    peerPort: ports[i * 2 + 1] as number,
  }));
  const address = more.address ?? '127.0.0.1';
  const cluster = members.map(({ name, peerPort }) => `${name}=http://${address}:${peerPort}`);
  const servers = members.map((member) => new EtcdServer({ folder, ...more, cluster, ...member }));
  for (const server of servers) await server.start();
  for (const server of servers) await server.waitUntilServing(server.ctl(ctlOptions));
  return servers;
}

/** Ports of loopback that nobody listens on now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  for (const server of servers) server.close();
  return ports;
}
