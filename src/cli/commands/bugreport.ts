/** weft bugreport: what helps to understand a fault, in one file, without secrets. Works without a daemon. */
import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import { gzipSync } from 'node:zlib';
import type { Command } from 'commander';
import * as z from 'zod';
import { SCHEMA_VERSION } from '../../api/version.ts';
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import { printableJson } from '../../shared/printable.ts';
import { collect, type Item, manifestOf } from '../bugreport/collect.ts';
import { tarOf } from '../bugreport/tar.ts';
import { adminSocketOption, promiseShape } from '../show.ts';

interface Options {
  output?: string;
  json?: boolean;
  adminSocket: string;
  subnetFile: string;
  envFile: string;
  unit: string;
}

const shape = z.looseObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  file: z.string(),
  bytes: z.number(),
  contents: z.array(
    z.looseObject({
      name: z.string(),
      what: z.string(),
      bytes: z.number(),
      missing: z.string().nullable(),
    }),
  ),
});

const HELP = `
Nothing is sent anywhere. Passwords, tokens, keys and user names in addresses are taken out; addresses of nodes and pods stay.
Look into the file before you share it.`;

export function addBugreport(program: Command): void {
  const command = program
    .command('bugreport')
    .description('collect what helps to understand a fault into one file, without secrets')
    .option(
      '-o, --output <file>',
      'where to write it (default: weft-bugreport-<host>-<time>.tar.gz here)',
    )
    .option('--json', 'one JSON object about the file')
    .option('--subnet-file <path>', 'subnet file', '/run/flannel/subnet.env')
    .option('--env-file <path>', 'environment file of the service', '/etc/default/weftd')
    .option('--unit <name>', 'systemd unit whose journal is read', 'weftd')
    .addOption(adminSocketOption())
    .addHelpText('after', HELP)
    .exitOverride();
  promiseShape(command, shape);
  command.action(report);
}

async function report(options: Options): Promise<void> {
  const { subnetFile, envFile, unit, adminSocket, json } = options;
  const now = new Date();
  const items = await collect({ adminSocket, subnetFile, environmentFile: envFile, unit });
  const file = options.output ?? fileName(now);
  const archive = gzipSync(archiveOf(items, now));
  await writeNew(file, archive);
  const contents = items.map(({ name, what, text, missing }) => {
    return { name, what, bytes: Buffer.byteLength(text), missing };
  });
  const about = { schemaVersion: SCHEMA_VERSION, file, bytes: archive.length, contents };
  process.stdout.write(json ? `${printableJson(about)}\n` : textOf(file, items));
}

function textOf(file: string, items: readonly Item[]): string {
  const contents = manifestOf(items).replace(/^/gm, '  ').trimEnd();
  return `${file} contains\n${contents}\n\nSecrets are removed, addresses are not. Nothing is sent; review the file before sharing it.\n`;
}

/** Everything lies in one folder, with a list of contents first. */
export function archiveOf(items: readonly Item[], at: Date): Buffer {
  const present = items.filter(({ missing }) => missing === null);
  const files = [{ name: 'CONTENTS.txt', text: manifestOf(items) }, ...present];
  const entries = files.map(({ name, text }) => {
    return { name: `weft-bugreport/${name}`, content: Buffer.from(text) };
  });
  return tarOf(entries, at);
}

function fileName(now: Date): string {
  const time = now.toISOString().replace(/[-:]|\.\d+/g, '');
  return `weft-bugreport-${os.hostname()}-${time}.tar.gz`;
}

/** Never over another file, and for its owner's eyes only. */
async function writeNew(file: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(file, bytes, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    const message = `${file}: ${messageOf(error)}; choose another place with -o`;
    throw new WeftError('ERR_OUTPUT', EXIT.failure, message, error);
  }
}
