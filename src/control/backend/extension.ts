/**
 * extension: the operator's own commands carry the packets (flannel pkg/backend/extension). As in flannel since 0.28.2 no shell runs
 * them: a command line is split at blanks, $NAME and ${NAME} are replaced in each word, quotes mean nothing.
 */
import { execFile } from 'node:child_process';
import { EXTENSION_KIND, type ExtensionConfig } from '../../cluster/kinds/extension.ts';
import type { LeaseAttributes, LeaseSubnets } from '../../cluster/lease/lease.ts';
import type { Peer, PeerChange } from '../../cluster/peers.ts';
import { formatAddress, formatPrefix } from '../../shared/address.ts';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { printable, SAID_CHARACTERS_MAX } from '../../shared/printable.ts';
import { AllocBackend } from './alloc.ts';
import type { BackendContext } from './backend.ts';

const COMMAND_MS = 60_000;
const OUTPUT_BYTES_MAX = 64 << 10;

type Variables = Readonly<Record<string, string>>;

export class ExtensionBackend extends AllocBackend {
  private readonly commands: ExtensionConfig;

  constructor(context: BackendContext<ExtensionConfig>) {
    super(context);
    this.commands = context.config.backend;
  }

  /** The interface's own address is published, whatever --public-ip says, and the pre-startup command's output as data. */
  override async attributes(): Promise<LeaseAttributes> {
    const { address4, address6 } = this.context.external;
    const attributes: LeaseAttributes = { backendType: EXTENSION_KIND.publishes };
    if (this.context.config.ipv4 && address4) attributes.publicIp4 = address4;
    if (this.context.config.ipv6 && address6) attributes.publicIp6 = address6;
    if (this.commands.preStartup === '') return attributes;
    const output = await runCommand(this.commands.preStartup, {}, '').catch((error) => {
      const message = `extension: PreStartupCommand failed: ${messageOf(error)}`;
      throw new WeftError('ERR_EXTENSION', EXIT.failure, message, error);
    });
    return { ...attributes, backendData: output.trim() };
  }

  override async start(subnets: LeaseSubnets, peers: readonly Peer[]): Promise<void> {
    const { config, external } = this.context;
    if (this.commands.postStartup !== '') {
      await runCommand(
        this.commands.postStartup,
        {
          NETWORK: config.ipv4 ? formatPrefix(config.ipv4.network) : '',
          SUBNET: subnets.subnet4 ? formatPrefix(subnets.subnet4) : '',
          IPV6SUBNET: subnets.subnet6 ? formatPrefix(subnets.subnet6) : '',
          PUBLIC_IP: external.address4 ? formatAddress(external.address4) : '',
          PUBLIC_IPV6: external.address6 ? formatAddress(external.address6) : '',
        },
        '',
      ).catch((error) => {
        const message = `extension: PostStartupCommand failed: ${messageOf(error)}`;
        throw new WeftError('ERR_EXTENSION', EXIT.failure, message, error);
      });
    }
    await super.start(subnets, peers);
  }

  override async apply(changes: readonly PeerChange[]): Promise<void> {
    const { subnetAdd, subnetRemove } = this.commands;
    for (const { before, after } of changes)
      if (before && !after) await this.tell(subnetRemove, before, 'SubnetRemoveCommand');
    for (const { after } of changes)
      if (after) await this.tell(subnetAdd, after, 'SubnetAddCommand');
  }

  private async tell(command: string, peer: Peer, name: string): Promise<void> {
    if (command === '') return;
    const [subnet, address] = [formatPrefix(peer.subnet), formatAddress(peer.address)];
    const variables =
      peer.family === 4
        ? { SUBNET: subnet, PUBLIC_IP: address }
        : { IPV6SUBNET: subnet, PUBLIC_IPV6: address };
    const data = typeof peer.data === 'string' ? peer.data : JSON.stringify(peer.data ?? '');
    await runCommand(command, variables, `${data}\n`).catch((error) => {
      this.context.log.error({ subnet }, `extension: ${name} failed: ${messageOf(error)}`);
    });
  }
}

/** Words of a command line with variables filled in. Exported for tests. */
export function commandWords(line: string, variables: NodeJS.ProcessEnv): string[] {
  const fill = (word: string): string =>
    word.replace(/\$(?:\{(\w+)\}|(\w+))/g, (_, braced, plain) => variables[braced ?? plain] ?? '');
  return line.split(/\s+/).filter(Boolean).map(fill);
}

/** Output of both streams. Throws with what the command said when it fails. */
function runCommand(line: string, extra: Variables, input: string): Promise<string> {
  const env = { ...process.env, ...extra };
  const [command = '', ...args] = commandWords(line, env);
  const options = { env, timeout: COMMAND_MS, maxBuffer: OUTPUT_BYTES_MAX };
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      if (!error) return resolve(`${stdout}${stderr}`);
      const said = printable(stderr.trim() || messageOf(error), SAID_CHARACTERS_MAX);
      reject(new Error(`${command}: ${said}`));
    });
    child.stdin?.on('error', () => undefined).end(input); // a command need not read what it is given
  });
}
