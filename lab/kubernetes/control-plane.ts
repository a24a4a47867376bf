/** A real control plane for tests: etcd and kube-apiserver with the authorization of a real cluster, which can be killed and frozen. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Authority, type Certificate } from '../certificates.ts';
import { EtcdServer, freePorts } from '../etcd.ts';
import type { Namespace } from '../namespace.ts';
import { LabProcess } from '../process.ts';
import { KubernetesAdmin, type NodeWish } from './admin.ts';
import { kubernetesProgram } from './programs.ts';

export interface ControlPlaneOptions {
  /** data, certificates, kubeconfigs and logs lie here */
  folder: string;
  /** where it runs, with an address inside; default is the caller's loopback, with free ports */
  network?: { namespace: Namespace; address: string };
  /** more flags of kube-apiserver */
  flags?: readonly string[];
}

/** How somebody shows who they are; a token's file is read by whoever uses the kubeconfig. */
export type Identity = { certificate: Certificate } | { token: string } | { tokenFile: string };

/** A request as the API server's audit log has it. */
export interface AuditedRequest {
  verb: string;
  resource: string;
  /** HTTP status */
  code: number;
}

/** What is written down of requests: those of ServiceAccounts, without their contents. */
const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived', 'ResponseStarted'],
  rules: [{ level: 'Metadata', userGroups: ['system:serviceaccounts'] }, { level: 'None' }],
};

/** First address of the services' range, under which pods reach the API server. */
const SERVICE_ADDRESS = '10.96.0.1';
/** Where the API server keeps nodes in etcd, by name. */
const NODE_KEYS = '/registry/minions/';
const CREATED = '2026-01-01T00:00:00Z';
const READY_MS = 120_000;
/** Made by the server itself at its start, last of all: before it is there, rights are not what they will be. */
const LAST_MADE = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:volume-scheduler';

export class ControlPlane {
  readonly etcd: EtcdServer;
  readonly admin: KubernetesAdmin;
  /** "https://127.0.0.1:6443" */
  readonly url: string;
  readonly authority: Authority;
  /** kubeconfig of somebody who may do everything */
  readonly adminKubeconfig: string;
  /** signs the tokens of ServiceAccounts */
  readonly serviceAccountKeyFile: string;
  private readonly options: ControlPlaneOptions;
  private readonly command: readonly [program: string, ...flags: string[]];
  private process: LabProcess | undefined;

  private constructor(
    options: ControlPlaneOptions,
    etcd: EtcdServer,
    authority: Authority,
    accounts: Certificate,
    url: string,
    kubeconfig: string,
    command: readonly [program: string, ...flags: string[]],
  ) {
    this.options = options;
    this.etcd = etcd;
    this.authority = authority;
    this.serviceAccountKeyFile = accounts.keyFile;
    this.url = url;
    this.adminKubeconfig = kubeconfig;
    this.admin = new KubernetesAdmin(kubeconfig, options.network?.namespace);
    this.command = command;
  }

  /** Serving, with nothing in it. */
  static async create(options: ControlPlaneOptions): Promise<ControlPlane> {
    const { folder, network, flags = [] } = options;
    mkdirSync(folder, { recursive: true });
    const program = await kubernetesProgram('kube-apiserver');
    const address = network?.address ?? '127.0.0.1';
    const [clientPort, peerPort, port] = network ? [2379, 2380, 6443] : await freePorts(3);
    const url = `https://${address}:${port}`;
    const authority = await Authority.create(folder, 'ca');
    const place = { address: '127.0.0.1', clientPort: clientPort!, peerPort: peerPort! };
    const etcd = new EtcdServer({
      folder,
      ...place,
      ...(network && { namespace: network.namespace }),
      flags: ['--unsafe-no-fsync'],
    });
    const admin = await authority.issue('admin', address, { organization: 'system:masters' });
    const kubeconfig = writeKubeconfig(folder, 'admin', url, authority, { certificate: admin });
    const accounts = await authority.issue('service-accounts');
    const plane = new ControlPlane(options, etcd, authority, accounts, url, kubeconfig, [
      program,
      ...(await serverFlags(address, port!, etcd, authority, accounts)),
      ...auditFlags(folder),
      ...flags,
    ]);
    await plane.begin();
    return plane;
  }

  /** undefined on the caller's loopback */
  get namespace(): Namespace | undefined {
    return this.options.network?.namespace;
  }

  get pid(): number | undefined {
    return this.process?.pid;
  }

  /** The end of the API server's log. */
  lastLines(count?: number): string {
    return this.process?.lastLines(count) ?? '';
  }

  /** What a ServiceAccount asked for so far, in order of their ends: a watch that goes on is not there yet. */
  requestsOf(namespace: string, account: string): AuditedRequest[] {
    const user = `system:serviceaccount:${namespace}:${account}`;
    const lines = readFileSync(auditLog(this.options.folder), 'utf8').trim().split('\n');
    return lines.flatMap((line) => {
      const entry = JSON.parse(line) as AuditEntry;
      const { verb, objectRef: { resource = '', subresource } = {}, responseStatus } = entry;
      if (entry.user?.username !== user) return [];
      const whole = subresource === undefined ? resource : `${resource}/${subresource}`;
      return [{ verb, resource: whole, code: responseStatus?.code ?? 0 }];
    });
  }

  /** Starts the API server; see {@link waitUntilReady}. */
  start(): void {
    const [program, ...flags] = this.command;
    const { network, folder } = this.options;
    const log = { logFile: join(folder, 'kube-apiserver.log') };
    this.process = network
      ? network.namespace.spawn(program, flags, log)
      : new LabProcess(program, flags, log);
  }

  async waitUntilReady(): Promise<void> {
    const deadline = Date.now() + READY_MS;
    while (!(await this.isReady())) {
      if (Date.now() > deadline || this.process?.exit !== undefined)
        throw new Error(`kube-apiserver does not get ready: ${this.lastLines(5)}`);
      await sleep(100);
    }
  }

  /** SIGKILL: an ordinary end would wait until the last watch is closed. */
  async kill(): Promise<void> {
    await this.process?.kill();
  }

  /** Killed and started again, ready. */
  async restart(): Promise<void> {
    await this.kill();
    this.start();
    await this.waitUntilReady();
  }

  /** Frozen: connections stay open and nobody answers. */
  pause(): void {
    this.process?.signal('SIGSTOP');
  }

  resume(): void {
    this.process?.signal('SIGCONT');
  }

  /** The history up to now is forgotten; the server itself knows it until its restart. */
  compact(): Promise<void> {
    return this.etcd.ctl().compact();
  }

  /** Makes many nodes in a moment, past the API server, which hears of them as of any others. */
  seedNodes(nodes: readonly (readonly [name: string, wish: NodeWish])[]): Promise<void> {
    const entries = nodes.map(([name, { annotations = {}, ...spec }]) => {
      const metadata = { name, uid: randomUUID(), creationTimestamp: CREATED, annotations };
      const node = { kind: 'Node', apiVersion: 'v1', metadata, spec, status: {} };
      return [`${NODE_KEYS}${name}`, JSON.stringify(node)] as const;
    });
    return this.etcd.ctl().putMany(entries);
  }

  /** Takes a node away in the same way; all of them without a name. The API server need not run. */
  async wipeNodes(name = ''): Promise<void> {
    await this.etcd.ctl().delete(`${NODE_KEYS}${name}`, ...(name === '' ? ['--prefix'] : []));
  }

  /** Ends everything; the files stay. */
  async close(): Promise<void> {
    this.admin.close();
    await this.kill();
    await this.etcd.kill();
  }

  /** Writes a kubeconfig under this name and returns its path. */
  kubeconfig(name: string, identity: Identity): string {
    return writeKubeconfig(this.options.folder, name, this.url, this.authority, identity);
  }

  /** What a pod finds at its ServiceAccount's mount, as a new folder: token, ca.crt, namespace. Returns the folder. */
  serviceAccountFolder(name: string, token: string, namespace: string): string {
    const folder = join(this.options.folder, name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'token'), token, { mode: 0o600 });
    writeFileSync(join(folder, 'namespace'), namespace);
    writeFileSync(join(folder, 'ca.crt'), readFileSync(this.authority.caFile));
    return folder;
  }

  private async begin(): Promise<void> {
    try {
      await this.etcd.start();
      await this.etcd.waitUntilServing();
      this.start();
      await this.waitUntilReady();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  private async isReady(): Promise<boolean> {
    try {
      await this.admin.call('GET', LAST_MADE);
      await this.admin.call('GET', '/api/v1/namespaces/kube-system');
      return true;
    } catch {
      return false;
    }
  }
}

interface AuditEntry {
  verb: string;
  user?: { username?: string };
  objectRef?: { resource?: string; subresource?: string };
  responseStatus?: { code?: number };
}

function auditLog(folder: string): string {
  return join(folder, 'audit.log');
}

function auditFlags(folder: string): string[] {
  const policy = join(folder, 'audit-policy.json');
  writeFileSync(policy, JSON.stringify(AUDIT_POLICY));
  return [`--audit-policy-file=${policy}`, `--audit-log-path=${auditLog(folder)}`];
}

async function serverFlags(
  address: string,
  port: number,
  etcd: EtcdServer,
  authority: Authority,
  accounts: Certificate,
): Promise<string[]> {
  const more = {
    alternatives: ['DNS:localhost', 'DNS:kubernetes.default.svc', `IP:${SERVICE_ADDRESS}`],
  };
  const own = await authority.issue('kube-apiserver', address, more);
  const organization = 'system:masters';
  const kubelet = await authority.issue('kube-apiserver-kubelet-client', address, { organization });
  return [
    `--etcd-servers=${etcd.endpoint}`,
    `--bind-address=${address}`,
    `--secure-port=${port}`,
    `--tls-cert-file=${own.certFile}`,
    `--tls-private-key-file=${own.keyFile}`,
    `--client-ca-file=${authority.caFile}`,
    `--kubelet-client-certificate=${kubelet.certFile}`,
    `--kubelet-client-key=${kubelet.keyFile}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${accounts.certFile}`,
    `--service-account-signing-key-file=${accounts.keyFile}`,
    `--service-cluster-ip-range=10.96.0.0/16`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--anonymous-auth=false',
    '--allow-privileged=true',
    '--feature-gates=IPv6DualStack=true',
    '--profiling=false',
    // A server on loopback can't tell others where it is.
    ...(address.startsWith('127.')
      ? ['--endpoint-reconciler-type=none']
      : [`--advertise-address=${address}`]),
  ];
}

/** JSON is YAML. */
function writeKubeconfig(
  folder: string,
  name: string,
  server: string,
  authority: Authority,
  identity: Identity,
): string {
  const user =
    'certificate' in identity
      ? {
          'client-certificate': identity.certificate.certFile,
          'client-key': identity.certificate.keyFile,
        }
      : identity;
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'lab', cluster: { server, 'certificate-authority': authority.caFile } }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: 'lab', user: name } }],
    'current-context': name,
  };
  const file = join(folder, `${name}.kubeconfig`);
  writeFileSync(file, JSON.stringify(config, null, 2), { mode: 0o600 });
  return file;
}
