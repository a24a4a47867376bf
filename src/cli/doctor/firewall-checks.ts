/** Checks of the firewall: what of the overlay's traffic it would stop. Reads rules and walks sample packets through them. */
import { formatPrefix, type Prefix, prefixContains } from '../../shared/address.ts';
import { type Check, type Finding, ok, skipped, warn } from './check.ts';
import { judgeWalks, type Passage } from './firewall/judge.ts';
import type { Packet } from './firewall/packet.ts';
import { podSamples, reachSamples, tunnelSamples } from './firewall/samples.ts';
import { overlayOf } from './overlay.ts';
import type { Site } from './site.ts';

export const FIREWALL_CHECKS: readonly Check[] = [
  {
    id: 'forward-policy',
    group: 'firewall',
    severity: 'fail',
    title: 'what the firewall does to packets of pods',
    needsRoot: true,
    run: async (site) => {
      const config = await site.config();
      const networks = [config?.ipv4, config?.ipv6].flatMap((range) => range?.network ?? []);
      const passage = (packet: Packet): Passage => podPassage(packet, networks);
      return judgeWalks(await site.tables(), await podSamples(site), passage);
    },
  },
  {
    id: 'port-blocked',
    group: 'firewall',
    severity: 'fail',
    title: 'what the firewall does to the UDP port',
    needsRoot: true,
    run: async (site) => {
      const overlay = await overlayOf(site);
      if (overlay.port === undefined) return skipped('no UDP port');
      return judgeWalks(await site.tables(), await tunnelSamples(site, overlay), portPassage);
    },
  },
  {
    id: 'reach-blocked',
    group: 'firewall',
    severity: 'warn',
    title: 'what the firewall does to the reach port',
    needsRoot: true,
    run: async (site) => {
      const port = site.settings?.reachPort ?? 0;
      if (port === 0) return skipped('off');
      const samples = await reachSamples(site, port);
      const finding = judgeWalks(await site.tables(), samples, portPassage);
      return finding.status === 'fail' ? { ...finding, status: 'warn' } : finding;
    },
  },
  {
    id: 'firewalld',
    group: 'firewall',
    severity: 'warn',
    title: 'firewalld',
    needsRoot: true,
    run: async (site) => judgeFirewalld(site),
  },
  {
    id: 'firewall-rules',
    group: 'firewall',
    severity: 'warn',
    title: "weft's own rules",
    run: async (site) => {
      const firewall = (await site.daemon())?.firewall;
      if (!firewall) return skipped('no daemon answers');
      if (firewall.ok) return ok(firewall.kind ? `in place, by ${firewall.kind}` : 'in place');
      return warn(
        `not in place: ${firewall.problem}`,
        'apt-get install nftables (or iptables); journalctl -u weftd',
      );
    },
  },
];

/** Pods' packets pass by the network on their side of the host. */
function podPassage({ from, to, family }: Packet, networks: readonly Prefix[]): Passage {
  const network = networks.find((each) => prefixContains(each, from) || prefixContains(each, to));
  const prefix = network ? formatPrefix(network) : '';
  return {
    iptables: `-s ${prefix} -d ${prefix}`,
    nft: `${family === 4 ? 'ip' : 'ip6'} saddr ${prefix} ${family === 4 ? 'ip' : 'ip6'} daddr ${prefix}`,
  };
}

function portPassage({ protocol, port }: Packet): Passage {
  return { iptables: `-p ${protocol} --dport ${port}`, nft: `${protocol} dport ${port}` };
}

async function judgeFirewalld(site: Site): Promise<Finding> {
  const isActive = (await site.tables()).some(({ name }) => name === 'firewalld');
  if (!isActive) return ok('not active');
  const { devices, port } = await overlayOf(site);
  const interfaces = [...devices.values()].map((name) => `--add-interface=${name}`).join(' ');
  return warn(
    'active: it drops what its zones do not know',
    `firewall-cmd --permanent --zone=trusted ${interfaces} && firewall-cmd --permanent --add-port=${port}/udp && firewall-cmd --reload`,
  );
}
