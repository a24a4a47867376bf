/** Where a stock node's flanneld would publish its lease and read the others': a folder, or etcd. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Etcdctl } from './etcdctl.ts';

export interface LeaseBoard {
  /** how often a follower looks */
  readonly pollMs: number;
  /** all leases, key to value; junk included */
  read(): Promise<Map<string, string>>;
  write(key: string, value: string): Promise<void>;
  remove(key: string): Promise<void>;
}

/** The file store's folder. */
export class FileBoard implements LeaseBoard {
  readonly pollMs = 100;
  private readonly storeDir: string;

  constructor(storeDir: string) {
    this.storeDir = storeDir;
  }

  /** Files that vanish while reading are left out; a folder that is not there is no empty one. */
  async read(): Promise<Map<string, string>> {
    const folder = join(this.storeDir, 'subnets');
    const leases = new Map<string, string>();
    for (const key of readdirSync(folder)) {
      try {
        leases.set(key, readFileSync(join(folder, key), 'utf8'));
      } catch {
        // removed meanwhile, or not a file
      }
    }
    return leases;
  }

  /** No reader sees half of it. */
  async write(key: string, value: string): Promise<void> {
    const name = `.lab-${process.pid}-${key.replaceAll(/[^\w.-]/g, '_')}`;
    const temporary = join(this.storeDir, name);
    mkdirSync(join(this.storeDir, 'subnets'), { recursive: true });
    writeFileSync(temporary, value);
    renameSync(temporary, join(this.storeDir, 'subnets', key));
  }

  async remove(key: string): Promise<void> {
    rmSync(join(this.storeDir, 'subnets', key), { force: true });
  }
}

/** etcd through etcdctl, with flannel's keys and its 24 h lease. */
export class EtcdBoard implements LeaseBoard {
  readonly pollMs = 500;
  private readonly ctl: Etcdctl;
  private readonly folder: string;

  constructor(ctl: Etcdctl, prefix: string) {
    this.ctl = ctl;
    this.folder = `${prefix}/subnets/`;
  }

  async read(): Promise<Map<string, string>> {
    const keys = await this.ctl.getPrefix(this.folder);
    return new Map(keys.map(({ key, value }) => [key.slice(this.folder.length), value]));
  }

  async write(key: string, value: string): Promise<void> {
    await this.ctl.put(`${this.folder}${key}`, value, await this.ctl.grant(86_400));
  }

  async remove(key: string): Promise<void> {
    await this.ctl.delete(`${this.folder}${key}`);
  }
}
