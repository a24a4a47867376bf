/** Which store, and how to reach it. */

/** How to reach etcd. The files are read anew for each connection. */
export interface EtcdSettings {
  endpoints: readonly string[];
  /** joined with the keys as Go's path.Join does: without a slash at its head the keys have none either */
  prefix: string;
  keyFile: string;
  certFile: string;
  caFile: string;
  username: string;
  password: string;
}

export type StoreSettings = { kind: 'file'; folder: string } | ({ kind: 'etcd' } & EtcdSettings);
