/** Who we are to the API server, and whom we trust: read again from their files, which are rotated while we run. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContext } from 'node:tls';
import { type Clock, systemClock } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import { KubernetesError, said } from './failure.ts';

/** Bytes themselves, or the file that holds them now. */
export type Source = { bytes: Buffer } | { file: string };

export interface CredentialSource {
  /** PEM; absent: the authorities that Node.js knows */
  ca?: Source;
  /** the server's certificate is not checked at all */
  isInsecure?: boolean;
  /** the name that its certificate must have, where that is not the URL's */
  serverName?: string;
  certificate?: Source;
  key?: Source;
  token?: string;
  /** wins over `token` as long as it can be read */
  tokenFile?: string;
  basic?: { username: string; password: string };
}

export interface Identity {
  /** the same object as long as no certificate changes */
  tls: SecureContext;
  /** value of the header; undefined: none */
  authorization: string | undefined;
}

const READ_AGAIN_MS = 60_000;

export class Credentials {
  readonly source: CredentialSource;
  private readonly clock: Clock;
  private identity: Identity | undefined;
  /** by the monotonic clock */
  private readAtMs = Number.NEGATIVE_INFINITY;
  /** what the secure context was made of */
  private pems: readonly (Buffer | undefined)[] = [];

  constructor(source: CredentialSource, clock: Clock = systemClock) {
    this.source = source;
    this.clock = clock;
  }

  /**
   * As the files were less than a minute ago. What can't be read, or is half written, leaves the identity as it was; the first time it
   * throws a KubernetesError that names the file.
   */
  async current(): Promise<Identity> {
    const ageMs = this.clock.monotonicMs() - this.readAtMs;
    if (this.identity && ageMs < READ_AGAIN_MS) return this.identity;
    try {
      this.identity = await this.read();
    } catch (error) {
      if (!this.identity) throw error;
    }
    this.readAtMs = this.clock.monotonicMs();
    return this.identity;
  }

  /** The server does not know us or we don't know the server: the files are read again for the next call. */
  doubt(): void {
    this.readAtMs = Number.NEGATIVE_INFINITY;
  }

  private async read(): Promise<Identity> {
    const { ca, certificate, key } = this.source;
    const authorization = await this.readAuthorization();
    const pems = await Promise.all([
      readSource(ca, 'certificate authority'),
      readSource(certificate, 'client certificate'),
      readSource(key, 'client key'),
    ]);
    const isSame = pems.every((pem, i) => sameBytes(pem, this.pems[i]));
    const tls = this.identity && isSame ? this.identity.tls : this.secureContext(pems);
    this.pems = pems;
    return { tls, authorization };
  }

  private secureContext([ca, cert, key]: readonly (Buffer | undefined)[]): SecureContext {
    try {
      if (ca) new X509Certificate(ca); // which the context would leave out without a word
      return createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) });
    } catch (error) {
      const { ca: authority, certificate, key: keySource } = this.source;
      const places = [authority, certificate, keySource].filter((each) => each !== undefined);
      const text = `certificates of the Kubernetes API can't be used: ${said(messageOf(error))}; check ${places.map(placeOf).join(', ')}`;
      throw new KubernetesError('unavailable', text, { cause: error });
    }
  }

  private async readAuthorization(): Promise<string | undefined> {
    const { token, tokenFile, basic } = this.source;
    if (tokenFile !== undefined) {
      const read = await readToken(tokenFile).catch((error: unknown) => {
        if (token === undefined) throw error;
        return token;
      });
      return `Bearer ${read}`;
    }
    if (token !== undefined) return `Bearer ${token}`;
    if (!basic) return undefined;
    return `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString('base64')}`;
  }
}

async function readToken(file: string): Promise<string> {
  const bytes = await readSource({ file }, 'token');
  const token = bytes?.toString('utf8').trim() ?? '';
  // Nothing else may be in a header, and an error about it would quote it.
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new KubernetesError(
    'unavailable',
    `token file ${file} holds no token: it must be one word`,
  );
}

async function readSource(source: Source | undefined, what: string): Promise<Buffer | undefined> {
  if (!source) return undefined;
  if ('bytes' in source) return source.bytes;
  try {
    return await readFile(source.file);
  } catch (error) {
    const text = `${what} of the Kubernetes API can't be read: ${messageOf(error)}; check that the file is there and readable for this user`;
    throw new KubernetesError('unavailable', text, { cause: error });
  }
}

function placeOf(source: Source): string {
  return 'file' in source ? source.file : 'the data in the kubeconfig';
}

function sameBytes(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.equals(b));
}
