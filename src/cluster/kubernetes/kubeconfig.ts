/** A kubeconfig file: where its current context leads, and with which credentials. YAML, and with it JSON. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../../shared/errors.ts';
import { printable } from '../../shared/printable.ts';
import { type Access, accessError, serverUrl } from './access.ts';
import type { CredentialSource, Source } from './credentials.ts';
import { said } from './failure.ts';

/** A usual one has some kB: certificates of a few clusters. */
const BYTES_MAX = 1 << 20;

/** Anything may be anything: it is a file that people edit. */
type Entry = Readonly<Record<string, unknown>>;

/**
 * `apiUrl` takes the place of the context's server. Names of files in it are relative to its own folder. Throws WeftError ERR_KUBE_ACCESS
 * when it can't be read, holds no such thing, or wants what weft does not do (exec, auth-provider, proxy-url).
 */
export async function readKubeconfig(file: string, apiUrl: string | undefined): Promise<Access> {
  const config = new Kubeconfig(file, await readYaml(file));
  return config.access(apiUrl);
}

async function readYaml(file: string): Promise<Entry> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw accessError(`kubeconfig can't be read: ${messageOf(error)}; check --kubeconfig-file`);
  }
  if (text.length > BYTES_MAX)
    throw accessError(`kubeconfig ${file} is larger than ${BYTES_MAX} bytes`);
  const { parseDocument } = await import('yaml'); // not needed in a pod
  const document = parseDocument(text, { prettyErrors: false });
  const [fault] = document.errors;
  // The parser's message may quote a line, which may be a token.
  if (fault)
    throw accessError(`kubeconfig ${file} is not YAML: ${fault.code} at byte ${fault.pos[0]}`);
  const value: unknown = document.toJS({ maxAliasCount: 100 });
  if (isEntry(value)) return value;
  throw accessError(`kubeconfig ${file} holds no clusters, users and contexts`);
}

class Kubeconfig {
  private readonly file: string;
  private readonly config: Entry;

  constructor(file: string, config: Entry) {
    this.file = file;
    this.config = config;
  }

  access(apiUrl: string | undefined): Access {
    const contextName = this.text(this.config, 'current-context');
    const context = contextName === undefined ? {} : this.named('contexts', 'context', contextName);
    const cluster = this.partOf(context, 'clusters', 'cluster');
    const user = this.partOf(context, 'users', 'user');
    const own = this.text(cluster, 'server');
    const address = apiUrl ?? own;
    if (address === undefined)
      this.fail(
        contextName === undefined
          ? 'has no current-context: set one (kubectl config use-context), or give --kube-api-url'
          : `has no server for the context "${printable(contextName)}"`,
      );
    const credentials = { ...this.trust(cluster, apiUrl === undefined), ...this.identity(user) };
    const place = apiUrl === undefined ? `kubeconfig ${this.file}: server` : '--kube-api-url';
    const hasTls = ['ca', 'certificate', 'isInsecure'].some((key) => key in credentials);
    const namespace = this.text(context, 'namespace');
    return { server: serverUrl(address, place, hasTls), namespace, credentials };
  }

  private trust(cluster: Entry, isOwnServer: boolean): CredentialSource {
    if (this.text(cluster, 'proxy-url') !== undefined)
      this.fail(
        'wants a proxy (proxy-url), which weft does not use: give a server that this node reaches itself',
      );
    const ca = this.source(cluster, 'certificate-authority');
    // The name belongs to the context's server.
    const serverName = isOwnServer ? this.text(cluster, 'tls-server-name') : undefined;
    const isInsecure = cluster['insecure-skip-tls-verify'] === true;
    if (ca && isInsecure)
      this.fail('has a certificate authority and insecure-skip-tls-verify: remove one of them');
    return {
      ...(ca && { ca }),
      ...(serverName !== undefined && { serverName }),
      ...(isInsecure && { isInsecure }),
    };
  }

  private identity(user: Entry): CredentialSource {
    for (const key of ['exec', 'auth-provider'])
      if (user[key] !== undefined && user[key] !== null)
        this.fail(
          `wants credentials from a program (${key}), which weft does not run: give the user a client certificate, a token or a tokenFile`,
        );
    const certificate = this.source(user, 'client-certificate');
    const key = this.source(user, 'client-key');
    if ((certificate === undefined) !== (key === undefined))
      this.fail('has a client-certificate without a client-key, or the other way round: give both');
    const token = this.token(user);
    const tokenFile = this.fileOf(user, 'tokenFile');
    const username = this.text(user, 'username');
    const password = this.text(user, 'password') ?? '';
    return {
      ...(certificate && key && { certificate, key }),
      ...(token !== undefined && { token }),
      ...(tokenFile !== undefined && { tokenFile }),
      ...(username !== undefined && { basic: { username, password } }),
    };
  }

  private token(user: Entry): string | undefined {
    const token = this.text(user, 'token')?.trim();
    if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
      this.fail('has a user whose token is not one word of plain characters: copy it again');
    return token;
  }

  /** What a context points to; {} where it points nowhere. */
  private partOf(context: Entry, list: string, kind: string): Entry {
    const name = this.text(context, kind);
    return name === undefined ? {} : this.named(list, kind, name);
  }

  private named(list: string, kind: string, name: string): Entry {
    const all = this.config[list];
    const entry = (Array.isArray(all) ? all : []).find(
      (each) => isEntry(each) && each['name'] === name,
    );
    if (!entry) this.fail(`has no ${kind} "${printable(name)}" among its ${list}`);
    const value: unknown = (entry as Entry)[kind];
    return isEntry(value) ? value : {};
  }

  /** Data in the file itself win over a file beside it. */
  private source(entry: Entry, key: string): Source | undefined {
    const data = this.text(entry, `${key}-data`);
    if (data !== undefined) return { bytes: Buffer.from(data, 'base64') };
    const file = this.fileOf(entry, key);
    return file === undefined ? undefined : { file };
  }

  private fileOf(entry: Entry, key: string): string | undefined {
    const name = this.text(entry, key);
    return name === undefined ? undefined : path.resolve(path.dirname(this.file), name);
  }

  /** undefined where there is nothing; a value that is no text is named, not shown. */
  private text(entry: Entry, key: string): string | undefined {
    const value = entry[key];
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value !== 'string') this.fail(`has "${key}" that is not text: put it in quotes`);
    return value;
  }

  private fail(what: string): never {
    throw accessError(`kubeconfig ${said(this.file)} ${what}`);
  }
}

function isEntry(value: unknown): value is Entry {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
