/** What the kernel counted for a protocol in a network namespace, by its names in /proc/net/snmp: a line of names, then one of counts. */
import type { Namespace } from '../../lab/namespace.ts';

export async function snmpCounters(
  space: Namespace,
  protocol: 'Tcp' | 'Udp',
): Promise<ReadonlyMap<string, number>> {
  const { stdout } = await space.exec('cat', ['/proc/net/snmp']);
  const [names = [], counts = []] = stdout
    .split('\n')
    .filter((line) => line.startsWith(`${protocol}:`))
    .map((line) => line.split(' ').slice(1));
  return new Map(names.map((name, i) => [name, Number(counts[i])]));
}
