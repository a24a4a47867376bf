/** Throw-away certificates by openssl: an authority, servers of an address, clients. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.ts';

export interface Certificate {
  certFile: string;
  keyFile: string;
}

export interface CertificateWish {
  /** Kubernetes takes it for a group */
  organization?: string;
  /** more names, as openssl writes them: "DNS:localhost", "IP:10.0.0.1" */
  alternatives?: readonly string[];
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** An authority of its own, good for a day. */
export class Authority {
  readonly caFile: string;
  private readonly folder: string;
  private readonly name: string;
  /** those that were asked for, by what was asked: files have the subject's name, and nobody may find them half made */
  private readonly issued = new Map<string, Promise<Certificate>>();
  /** one after the other: they share the file of serial numbers */
  private turn: Promise<unknown> = Promise.resolve();

  private constructor(folder: string, name: string) {
    this.folder = folder;
    this.name = name;
    this.caFile = join(folder, `${name}.crt`);
  }

  /** `name` distinguishes files and subject. */
  static async create(folder: string, name: string): Promise<Authority> {
    const authority = new Authority(folder, name);
    const files = ['-keyout', join(folder, `${name}.key`), '-out', authority.caFile];
    await run('openssl', ['req', '-x509', ...EC, '-days', '1', '-subj', `/CN=${name}`, ...files]);
    return authority;
  }

  /** A certificate for this subject and IP address, for servers and clients. */
  issue(subject: string, address = '127.0.0.1', wish: CertificateWish = {}): Promise<Certificate> {
    const asked = JSON.stringify([subject, address, wish]);
    const known = this.issued.get(asked);
    if (known !== undefined) return known;
    const made = this.turn.then(() => this.make(subject, address, wish));
    this.turn = made.catch(() => undefined);
    this.issued.set(asked, made);
    return made;
  }

  private async make(
    subject: string,
    address: string,
    { organization, alternatives = [] }: CertificateWish,
  ): Promise<Certificate> {
    const file = (ending: string): string => join(this.folder, `${this.name}-${subject}.${ending}`);
    const [keyFile, certFile, request, extensions] = ['key', 'crt', 'csr', 'ext'].map(file) as [
      string,
      string,
      string,
      string,
    ];
    const usage = 'extendedKeyUsage=serverAuth,clientAuth';
    const names = [`IP:${address}`, ...alternatives].join();
    writeFileSync(extensions, `subjectAltName=${names}\n${usage}\n`);
    const name = `${organization === undefined ? '' : `/O=${organization}`}/CN=${subject}`;
    const subjectFlags = ['-subj', name, '-keyout', keyFile, '-out', request];
    await run('openssl', ['req', ...EC, ...subjectFlags]);
    const signer = ['-CA', this.caFile, '-CAkey', join(this.folder, `${this.name}.key`)];
    const rest = ['-CAcreateserial', '-days', '1', '-extfile', extensions, '-out', certFile];
    await run('openssl', ['x509', '-req', '-in', request, ...signer, ...rest]);
    return { certFile, keyFile };
  }
}
