/** weft docker-opts: subnet.env as options for Docker, with the names and forms of flannel's mk-docker-opts.sh. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { writeFileAtomically } from '../../shared/files.ts';

interface DockerOptions {
  file: string;
  output: string;
  individual: boolean;
  combined: boolean;
  key: string;
  /** --no-masquerade or -m gives false */
  masquerade: boolean;
}

export function addDockerOpts(program: Command): void {
  program
    .command('docker-opts')
    .description("write Docker's options for this node's subnet")
    .option('-f, --file <path>', 'subnet file', '/run/flannel/subnet.env')
    .option('-d, --output <path>', 'file to write', '/run/docker_opts.env')
    .option('-i, --individual', 'only one variable per option', false)
    .option('-c, --combined', 'only the combined variable', false)
    .option('-k, --key <name>', 'name of the combined variable', 'DOCKER_OPTS')
    .option('-m, --no-masquerade', 'leave --ip-masq out')
    .exitOverride()
    .action(async (options: DockerOptions) => {
      const text = await readFile(options.file, 'utf8').catch((error) => {
        const message = `subnet file ${options.file}: ${messageOf(error)}; start weftd first, or name it with -f`;
        throw new WeftError('ERR_SUBNET_FILE', EXIT.usage, message, error);
      });
      await writeFileAtomically(options.output, renderDockerOpts(text, options), 0o644);
    });
}

/** Without -i and -c both forms, as flannel. Throws ERR_SUBNET_FILE when the file is not complete. */
export function renderDockerOpts(
  subnetFile: string,
  options: Pick<DockerOptions, 'individual' | 'combined' | 'key' | 'masquerade'>,
): string {
  const value = (name: string): string => {
    const found = new RegExp(`^${name}=(.+)$`, 'm').exec(subnetFile)?.[1];
    if (found !== undefined) return found;
    throw new WeftError('ERR_SUBNET_FILE', EXIT.usage, `the subnet file has no ${name}`);
  };
  const isMasqueraded = value('FLANNEL_IPMASQ') === 'true';
  const settings = [
    ['BIP', `--bip=${value('FLANNEL_SUBNET')}`],
    // Who masquerades already must not be helped by Docker.
    ...(options.masquerade ? [['IPMASQ', `--ip-masq=${!isMasqueraded}`]] : []),
    ['MTU', `--mtu=${value('FLANNEL_MTU')}`],
  ];
  const both = options.individual === options.combined;
  const individual = settings.map(([name, text]) => `DOCKER_OPT_${name}="${text}"`);
  const combined = `${options.key}="${settings.map(([, text]) => ` ${text}`).join('')}"`;
  const lines = [
    ...(both || options.individual ? individual : []),
    ...(both || options.combined ? [combined] : []),
  ];
  return `${lines.join('\n')}\n`;
}
