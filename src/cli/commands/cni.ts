/** weft cni gc: gives back addresses that are held for containers that no longer exist. Works without a daemon. */
import type { Command } from 'commander';
import * as z from 'zod';
import { SCHEMA_VERSION } from '../../api/version.ts';
import {
  findLeftOver,
  giveBack,
  type HeldAddress,
  HOST_LOCAL_FOLDER,
  OLD_MS,
} from '../../host/cni-addresses.ts';
import { readSubnetEnv } from '../../host/subnet-env.ts';
import { EXIT, WeftError } from '../../shared/errors.ts';
import { printable, printableJson } from '../../shared/printable.ts';
import { renderTable } from '../render.ts';
import { type OnExit, promiseShape } from '../show.ts';

interface Options {
  delete?: boolean;
  json?: boolean;
  subnetFile: string;
  dataDir: string;
}

const shape = z.looseObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  held: z.number().describe("addresses of this node's subnets that are held"),
  leftOver: z.array(
    z.object({
      network: z.string().describe('name of the CNI network'),
      address: z.string(),
      container: z.string().describe('that it is held for'),
      heldAt: z.string().meta({ format: 'date-time' }),
      freed: z.boolean(),
    }),
  ),
  doubt: z.string().describe('why nothing is called left over; "" where all could be seen'),
});
type Answer = z.infer<typeof shape>;

const HELP = `
Addresses are those that the CNI plugin host-local holds in this node's own subnets (--subnet-file). One is left over when it has
been held for ${OLD_MS / 60_000} minutes and no network namespace of this host has it. All namespaces must be visible, which the host's veth
devices show: while the other end of one can't be found, no address is reported as left over. Run it as root, on the host itself.
Nothing is changed without --delete. Exit code 1 when the namespaces can't all be seen.`;

export function addCni(program: Command, onExit: OnExit): void {
  const cni = program.command('cni').description("what pods' network plugins keep").exitOverride();
  const command = cni
    .command('gc')
    .description(
      'list addresses held for containers that no longer exist; with --delete give them back',
    )
    .option('--delete', 'give them back')
    .option('--json', 'one JSON object')
    .option('--subnet-file <path>', 'subnet file', '/run/flannel/subnet.env')
    .option('--data-dir <path>', 'where host-local keeps addresses', HOST_LOCAL_FOLDER)
    .addHelpText('after', HELP)
    .exitOverride();
  promiseShape(command, shape);
  command.action(async (options: Options) => {
    const answer = await collect(options);
    process.stdout.write(options.json ? `${printableJson(answer)}\n` : textOf(answer));
    onExit(answer.doubt === '' ? 0 : 1);
  });
}

async function collect({ subnetFile, dataDir, delete: isWanted }: Options): Promise<Answer> {
  const { subnets } = await readSubnetEnv(subnetFile);
  if (!subnets) {
    const message = `${subnetFile} has no subnet: which addresses are this node's is not known; name the file with --subnet-file`;
    throw new WeftError('ERR_SUBNET_FILE', EXIT.failure, message);
  }
  const { held, left, doubt } = await findLeftOver(subnets, dataDir);
  const freed = new Set(isWanted ? await giveBack(left, dataDir) : []);
  const row = (each: HeldAddress) => ({
    network: each.network,
    address: each.address,
    container: printable(each.container),
    heldAt: new Date(each.heldAtMs).toISOString(),
    freed: freed.has(each),
  });
  return { schemaVersion: SCHEMA_VERSION, held: held.length, leftOver: left.map(row), doubt };
}

function textOf({ held, leftOver, doubt }: Answer): string {
  if (doubt !== '') return `${held} addresses held; which are left over is not known: ${doubt}\n`;
  if (leftOver.length === 0) return `${held} addresses held, none of them left over\n`;
  const rows = leftOver.map(({ address, network, heldAt, container, freed }) =>
    [address, network, heldAt, container, freed ? 'given back' : ''].map((text) => printable(text)),
  );
  const table = renderTable(['ADDRESS', 'NETWORK', 'HELD SINCE', 'CONTAINER', ''], rows);
  const count = leftOver.filter(({ freed }) => freed).length;
  const done =
    count > 0 ? `${count} given back` : 'nothing was changed; weft cni gc --delete gives them back';
  return `${table}\n\n${held} addresses held, ${leftOver.length} of them left over; ${done}\n`;
}
