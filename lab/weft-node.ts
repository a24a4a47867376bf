/** A node that runs weftd. */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastPathMode } from '../src/options/options.ts';
import { EXIT, WeftError } from '../src/shared/errors.ts';
import { run } from './command.ts';
import { UNDERLAY_DEVICE, type UnderlayAddress } from './fabric.ts';
import type { Namespace } from './namespace.ts';
import { type LabNode, mustParsePrefix, type NodeNetwork } from './node.ts';
import type { LabProcess } from './process.ts';
import { projectBinary } from './root.ts';

export interface WeftNodeOptions {
  /** flags that name the store */
  store: readonly string[];
  /** the node keeps its files in `<tempDir>/<name>` */
  tempDir: string;
  workers?: number;
  /** value of --offload; default is the daemon's own */
  offload?: string | undefined;
  /** value of --source-check; default is the daemon's own */
  sourceCheck?: string;
  /** default off */
  fastPath?: FastPathMode;
  /** further flags, as given */
  flags?: readonly string[];
  /** variables of the daemon besides the lab's own */
  environment?: Readonly<Record<string, string>>;
  /** how long a start may take; default 60 s */
  startTimeoutMs?: number;
}

/** One weftd in its node's namespace. */
export class WeftNode implements LabNode {
  readonly name: string;
  readonly kind = 'weft';
  readonly namespace: Namespace;
  readonly underlay: UnderlayAddress;
  /** the last start's subnets */
  network: NodeNetwork = { mtu: 0 };
  readonly #folder: string;
  #options: WeftNodeOptions;
  #process: LabProcess | undefined;

  constructor(
    name: string,
    namespace: Namespace,
    underlay: UnderlayAddress,
    options: WeftNodeOptions,
  ) {
    this.name = name;
    this.namespace = namespace;
    this.underlay = underlay;
    this.#options = options;
    this.#folder = join(options.tempDir, name);
    mkdirSync(this.#folder, { recursive: true });
  }

  get subnetFile(): string {
    return join(this.#folder, 'subnet.env');
  }

  get adminSocket(): string {
    return join(this.#folder, 'weft.sock');
  }

  get stateDir(): string {
    return join(this.#folder, 'state');
  }

  get logFile(): string {
    return join(this.#folder, 'weftd.log');
  }

  /** pid of the daemon; undefined before the first start */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Everything the daemon logged, over all its starts. */
  get log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8') : '';
  }

  /** Starts the daemon and waits until its subnet file is there and its admin socket answers. */
  async start(): Promise<void> {
    // The file of an earlier start would be taken for this one's.
    rmSync(this.subnetFile, { force: true });
    const [command, ...args] = this.command();
    const { environment } = this.#options;
    this.#process = this.namespace.spawn(command, args, {
      logFile: this.logFile,
      ...(environment && { environment }),
    });
    await this.#waitUntilReady(this.#process);
    this.network = parseSubnetFile(readFileSync(this.subnetFile, 'utf8'));
  }

  /** The daemon's command line, for those who start it themselves. */
  command(): [string, ...string[]] {
    return [process.execPath, projectBinary('weftd'), ...this.#flags()];
  }

  /** SIGTERM and wait for the end. */
  async stop(): Promise<void> {
    await this.#process?.stop(10_000);
  }

  /** kill -9 */
  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  /** How the daemon ended; undefined while it runs. */
  get exit(): string | undefined {
    return this.#process?.exit;
  }

  /** SIGTERM, then a fresh start, with other options where given. */
  async restart(changes: Partial<WeftNodeOptions> = {}): Promise<void> {
    await this.stop();
    this.#options = { ...this.#options, ...changes };
    await this.start();
  }

  signal(name: NodeJS.Signals): void {
    this.#process?.signal(name);
  }

  /** `weft status --json`, parsed. */
  async status(): Promise<unknown> {
    const args = [projectBinary('weft'), 'status', '--json', `--admin-socket=${this.adminSocket}`];
    const { stdout } = await run(process.execPath, args);
    return JSON.parse(stdout);
  }

  /** GET on its admin socket; throws when nobody answers in time. */
  page(path: string, timeoutMs = 3_000): Promise<string> {
    return new Promise((resolve, reject) => {
      const options = { socketPath: this.adminSocket, path, agent: false, timeout: timeoutMs };
      const call = request(options, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        answer.once('end', () => resolve(text)).once('error', reject);
      });
      call.once('timeout', () => call.destroy(new Error(`no answer in ${timeoutMs} ms`)));
      call.once('error', reject).end();
    });
  }

  #flags(): string[] {
    const { store, workers, offload, sourceCheck, fastPath = 'off', flags } = this.#options;
    return [
      ...store,
      `--iface=${UNDERLAY_DEVICE}`,
      `--subnet-file=${this.subnetFile}`,
      `--state-dir=${this.stateDir}`,
      `--admin-socket=${this.adminSocket}`,
      ...(workers === undefined ? [] : [`--workers=${workers}`]),
      ...(offload === undefined ? [] : [`--offload=${offload}`]),
      ...(sourceCheck === undefined ? [] : [`--source-check=${sourceCheck}`]),
      `--fast-path=${fastPath}`,
      ...(flags ?? []),
    ];
  }

  async #waitUntilReady(daemon: LabProcess): Promise<void> {
    const limit = this.#options.startTimeoutMs ?? 60_000;
    const deadline = Date.now() + limit;
    while (Date.now() < deadline && daemon.exit === undefined) {
      if (existsSync(this.subnetFile) && (await answers(this.adminSocket))) return;
      await sleep(25);
    }
    const why =
      daemon.exit === undefined ? `was not ready in ${limit} ms` : `ended (${daemon.exit})`;
    await daemon.stop();
    const message = `weftd on ${this.name} ${why}; its last lines:\n${daemon.lastLines()}`;
    throw new WeftError('ERR_NODE_START', EXIT.failure, message);
  }
}

/** Reads FLANNEL_SUBNET, FLANNEL_IPV6_SUBNET and FLANNEL_MTU. */
export function parseSubnetFile(text: string): NodeNetwork {
  const values = new Map(text.split('\n').map((line) => line.split('=', 2) as [string, string]));
  const subnet4 = values.get('FLANNEL_SUBNET');
  const subnet6 = values.get('FLANNEL_IPV6_SUBNET');
  const mtu = Number(values.get('FLANNEL_MTU'));
  if (!Number.isInteger(mtu) || mtu <= 0 || (subnet4 ?? subnet6) === undefined) {
    throw new Error(`subnet file is not complete: ${JSON.stringify(text)}`);
  }
  return {
    ...(subnet4 !== undefined && { subnet4: mustParsePrefix(subnet4) }),
    ...(subnet6 !== undefined && { subnet6: mustParsePrefix(subnet6) }),
    mtu,
  };
}

/** True when something speaks HTTP on the unix socket, whatever it says. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request(
      { socketPath, path: '/status', agent: false, timeout: 1000 },
      (response) => {
        response.resume().once('end', () => resolve(true));
        response.once('error', () => resolve(false));
      },
    );
    call.once('timeout', () => call.destroy(new Error('no answer')));
    call.once('error', () => resolve(false));
    call.end();
  });
}
