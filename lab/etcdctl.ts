/** etcd's own command line: what tests write and compare with, so that weft's client is not its own judge. */
import { type RunResult, run } from './command.ts';
import type { Namespace } from './namespace.ts';

export interface EtcdctlOptions {
  endpoints: readonly string[];
  namespace?: Namespace;
  caFile?: string;
  certFile?: string;
  keyFile?: string;
  /** "name:password" */
  user?: string;
}

export interface EtcdKey {
  key: string;
  value: string;
  modRevision: number;
  version: number;
  /** id in hex, '' without */
  lease: string;
}

/** etcd takes 128 (--max-txn-ops). */
const TXN_PUTS_MAX = 100;

export class Etcdctl {
  private readonly options: EtcdctlOptions;

  constructor(options: EtcdctlOptions) {
    this.options = options;
  }

  async isHealthy(): Promise<boolean> {
    const { code } = await this.try('endpoint', 'health');
    return code === 0;
  }

  async get(key: string): Promise<EtcdKey | undefined> {
    return (await this.range(key))[0];
  }

  getPrefix(prefix: string): Promise<EtcdKey[]> {
    return this.range(prefix, '--prefix');
  }

  /** `lease` is an id in hex. */
  async put(key: string, value: string, lease?: string): Promise<void> {
    await this.run('put', key, value, ...(lease === undefined ? [] : [`--lease=${lease}`]));
  }

  /** Many at once. */
  async putMany(entries: readonly (readonly [key: string, value: string])[]): Promise<void> {
    for (let at = 0; at < entries.length; at += TXN_PUTS_MAX) {
      const puts = entries
        .slice(at, at + TXN_PUTS_MAX)
        .map(([key, value]) => `put ${key} ${JSON.stringify(value)}`);
      // No conditions, what is done, and nothing otherwise.
      await this.execute(['txn'], false, `\n${puts.join('\n')}\n\n\n`);
    }
  }

  async delete(key: string, ...flags: string[]): Promise<void> {
    await this.run('del', key, ...flags);
  }

  /** Id in hex. */
  async grant(ttlS: number): Promise<string> {
    const { stdout } = await this.run('lease', 'grant', String(ttlS));
    const id = /lease (\S+) granted/.exec(stdout)?.[1];
    if (id === undefined) throw new Error(`etcdctl lease grant said: ${stdout}`);
    return id;
  }

  /** Seconds left and seconds granted. */
  async timeToLive(lease: string): Promise<{ leftS: number; grantedS: number }> {
    const { stdout } = await this.run('lease', 'timetolive', lease);
    const [, granted, left] = /TTL\((\d+)s\), remaining\((-?\d+)s\)/.exec(stdout) ?? [];
    return { leftS: Number(left), grantedS: Number(granted) };
  }

  /** Forgets all history up to now. */
  async compact(): Promise<void> {
    const { stdout } = await this.run('get', 'nothing', '-w', 'json');
    const revision = (JSON.parse(stdout) as { header: { revision: number } }).header.revision;
    await this.run('compaction', String(revision));
  }

  /** Number of the endpoint that leads. */
  async leader(): Promise<number> {
    const { stdout } = await this.run('endpoint', 'status', '-w', 'json');
    // Ids have 64 bits, more than JSON.parse keeps.
    const texts = stdout.split('"Endpoint"').slice(1);
    return texts.findIndex((text) => {
      const member = /"member_id":(\d+)/.exec(text)?.[1];
      return member !== undefined && /"leader":(\d+)/.exec(text)?.[1] === member;
    });
  }

  /** Runs etcdctl; throws when it fails. */
  run(...args: string[]): Promise<RunResult> {
    return this.execute(args, false);
  }

  try(...args: string[]): Promise<RunResult> {
    return this.execute(args, true);
  }

  private async range(key: string, ...flags: string[]): Promise<EtcdKey[]> {
    const { stdout } = await this.run('get', key, ...flags, '-w', 'json');
    // Lease ids have 64 bits, more than JSON.parse keeps.
    const text = stdout.replaceAll(/"lease":(\d+)/g, '"lease":"$1"');
    const answer = JSON.parse(text) as {
      kvs?: {
        key: string;
        value?: string;
        mod_revision: number;
        version: number;
        lease?: string;
      }[];
    };
    const decode = (base64 = ''): string => Buffer.from(base64, 'base64').toString();
    return (answer.kvs ?? []).map(({ key: name, value, lease, mod_revision, version }) => ({
      key: decode(name),
      value: decode(value),
      modRevision: mod_revision,
      version,
      lease: lease === undefined ? '' : BigInt(lease).toString(16),
    }));
  }

  private execute(
    args: readonly string[],
    allowFailure: boolean,
    input?: string,
  ): Promise<RunResult> {
    const { endpoints, namespace, caFile, certFile, keyFile, user } = this.options;
    const flags = [
      `--endpoints=${endpoints.join(',')}`,
      '--command-timeout=5s',
      ...(caFile ? [`--cacert=${caFile}`] : []),
      ...(certFile ? [`--cert=${certFile}`, `--key=${keyFile}`] : []),
      ...(user ? [`--user=${user}`] : []),
    ];
    const all = ['ETCDCTL_API=3', 'etcdctl', ...flags, ...args];
    const options = { allowFailure, ...(input !== undefined && { input }) };
    return namespace ? namespace.exec('env', all, options) : run('env', all, options);
  }
}
