/** weft config check|show: a configuration without a daemon, and the running daemon's. */
import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import type { Command } from 'commander';
import * as z from 'zod';
import { type ConfigPage, configShape } from '../../api/config.ts';
import { SCHEMA_VERSION } from '../../api/version.ts';
import { checkConfig, type Problem } from '../../options/check.ts';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { printableJson } from '../../shared/printable.ts';
import { fetchPage } from '../client.ts';
import { renderTable } from '../render.ts';
import { addShow, type OnExit } from '../show.ts';
import type { Style } from '../style.ts';

export const checkShape = z.looseObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  ok: z.boolean(),
  problems: z.array(
    z.looseObject({
      severity: z.enum(['error', 'warning']),
      where: z.string(),
      what: z.string(),
      advice: z.string(),
    }),
  ),
});

interface CheckOptions {
  netConfig?: string;
  envFile?: string;
}

const CHECK_HELP = `
Examples:
  weft config check --env-file /etc/default/weftd --net-config net-conf.json
  weft config check -- --iface=eth0 --workers=auto
  etcdctl get --print-value-only /coreos.com/network/config | weft config check --net-config -
Exit code 1 when there are errors; warnings alone give 0.`;

export function addConfig(program: Command, onExit: OnExit): void {
  const config = program
    .command('config')
    .description('check a configuration, or show the one in force')
    .exitOverride();
  addShow<typeof checkShape, CheckOptions>(config, onExit, {
    name: 'check',
    description: 'check flags, an environment file and a network config, without a daemon',
    argument: ['[flags...]', 'flags of weftd, behind "--"'],
    options: (command) =>
      command
        .option('--net-config <file>', 'network config (JSON); "-" reads standard input')
        .option('--env-file <file>', 'environment file, as systemd reads it'),
    help: CHECK_HELP,
    shape: checkShape,
    answer: (options, _argument, flags) => check(options, flags),
    render: renderCheck,
    exitCode: ({ ok }) => (ok ? 0 : 1),
  });
  let withOrigin = false;
  addShow<typeof configShape, { origin?: boolean }>(config, onExit, {
    name: 'show',
    description: 'the options and the network config of the running daemon; secrets are not shown',
    options: (command) =>
      command.option('--origin', 'all options, and where each value comes from'),
    shape: configShape,
    answer: ({ adminSocket, origin }) => {
      withOrigin = origin === true;
      return fetchPage(adminSocket, '/config');
    },
    render: (page, style) => renderConfig(page, withOrigin, style),
  });
}

async function check(
  { netConfig, envFile }: CheckOptions,
  flags: readonly string[],
): Promise<object> {
  const problems = checkConfig({
    flags,
    ...(envFile !== undefined && { environmentFile: await readInput(envFile, '--env-file') }),
    ...(netConfig !== undefined && { networkConfig: await readInput(netConfig, '--net-config') }),
  });
  const ok = problems.every(({ severity }) => severity !== 'error');
  return { schemaVersion: SCHEMA_VERSION, ok, problems };
}

async function readInput(file: string, flag: string): Promise<{ name: string; text: string }> {
  try {
    if (file === '-') return { name: 'standard input', text: await readAll(process.stdin) };
    return { name: file, text: await readFile(file, 'utf8') };
  } catch (error) {
    const message = `${flag} ${file}: ${messageOf(error)}`;
    throw new WeftError('ERR_INPUT', EXIT.failure, message, error);
  }
}

export function renderCheck({ problems }: { problems: readonly Problem[] }, style: Style): string {
  if (problems.length === 0) return style.good('nothing is wrong');
  return problems
    .map(({ severity, where, what, advice }) => {
      const mark = severity === 'error' ? style.bad('✗ error') : style.warn('! warning');
      return `${mark}  ${style.bold(where)}: ${what}\n    ${style.dim(`→ ${advice}`)}`;
    })
    .join('\n');
}

export function renderConfig(page: ConfigPage, withOrigin: boolean, style: Style): string {
  const valueText = (value: unknown): string => {
    if (Array.isArray(value)) return value.join(' ') || '-';
    return value === '' ? '-' : String(value);
  };
  const shown = page.options.filter(({ origin }) => withOrigin || origin !== 'default');
  const rows = shown.map(({ name, value, origin, environment }) => [
    `--${name}`,
    valueText(value),
    origin === 'environment' ? `environment (${environment})` : origin,
  ]);
  const options =
    rows.length === 0
      ? 'all options have their defaults'
      : renderTable(['OPTION', 'VALUE', 'ORIGIN'], rows);
  const more = withOrigin
    ? ''
    : `\n${style.dim('all others have their defaults; --origin lists them')}`;
  const network = page.networkConfig ? printableJson(page.networkConfig, 2) : 'not read yet';
  return `${options}${more}\n\n${style.dim(`network config from ${page.networkConfigPlace}`)}\n${network}`;
}
