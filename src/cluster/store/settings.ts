/** Which store, and how to reach it. */

/** How to reach etcd. The files are read anew for each connection. */
export interface EtcdSettings {
  endpoints: readonly string[];
  /** begins with a slash, has none at its end */
  prefix: string;
  keyFile: string;
  certFile: string;
  caFile: string;
  username: string;
  password: string;
}

export type StoreSettings = { kind: 'file'; folder: string } | ({ kind: 'etcd' } & EtcdSettings);
