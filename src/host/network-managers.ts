/** Programs that manage a host's network and may take the overlay's devices for theirs. */
import { type Exec, exec } from './exec.ts';
import { processesNamed } from './processes.ts';

interface Manager {
  name: string;
  /** of its process, as the kernel cuts it */
  process: RegExp;
}

const MANAGERS: readonly Manager[] = [
  { name: 'NetworkManager', process: /^NetworkManager$/ },
  { name: 'systemd-networkd', process: /^systemd-network/ },
  { name: 'dhcpcd', process: /^dhcpcd/ },
  { name: 'connman', process: /^connmand$/ },
  { name: 'wicked', process: /^wickedd/ },
];

/** Names of those that run on our network. Where their processes can't be seen, systemd is asked. */
export async function runningManagers(run: Exec = exec): Promise<string[]> {
  const any = new RegExp(MANAGERS.map(({ process }) => process.source).join('|'));
  const seen = (await processesNamed(any)).filter(({ sharesNetwork }) => sharesNetwork !== false);
  const found = MANAGERS.filter(({ process }) => seen.some(({ name }) => process.test(name)));
  return found.length > 0 ? found.map(({ name }) => name) : await activeUnits(run);
}

async function activeUnits(run: Exec): Promise<string[]> {
  const units = MANAGERS.map(({ name }) => `${name}.service`);
  const words = ['list-units', '--plain', '--no-legend', '--state=active', ...units];
  const text = await run('systemctl', words).catch(() => '');
  return MANAGERS.map(({ name }) => name).filter((name) => text.includes(`${name}.service`));
}
