/** Checks of who else works on this host's network: another flannel, network managers, addresses in the wrong place. */
import type { ReachNode } from '../../api/reach.ts';
import { runningManagers } from '../../host/network-managers.ts';
import { findFlanneld } from '../../host/other-flannel.ts';
import {
  addressesOn,
  foreignOn,
  type LocalAddress,
  takenFrom,
} from '../../host/overlay-addresses.ts';
import { isKernelVxlan } from '../../host/preflight.ts';
import type { OtherProcess } from '../../host/processes.ts';
import { type Check, type Finding, fail, ok, skipped, someOf, warn } from './check.ts';
import { overlayOf } from './overlay.ts';
import type { Site } from './site.ts';

/** `device`: the kernel vxlan device that has a name of ours. One flanneld more with a network of its own may be wanted. */
export function judgeOtherFlannel(
  flanneld: OtherProcess | undefined,
  device: string | undefined,
): Finding {
  if (!flanneld) return ok('no flanneld is to be seen');
  const { pid, command } = flanneld;
  const text = `flanneld runs on this host too: process ${pid} (${command})`;
  const fix =
    'stop it and keep it from starting again: systemctl disable --now flanneld, or the DaemonSet or program that starts it';
  return device === undefined ? warn(text, fix) : fail(`${text}, and has ${device}`, fix);
}

export function judgeTaken(found: readonly { key: string; address: LocalAddress }[]): Finding {
  const [first] = found;
  if (!first) return ok("no address of other nodes' subnets is here");
  const list = found.map(
    ({ key, address }) => `${address.text} on ${address.device} (node ${key})`,
  );
  const { device, text } = first.address;
  return fail(
    `this host has addresses of other nodes' subnets, and packets for them stay here: ${someOf(list)}`,
    `if nobody needs it: ip addr del ${text} dev ${device}, or: ip link delete ${device}`,
  );
}

export function judgeForeign(found: readonly LocalAddress[], managers: readonly string[]): Finding {
  const runs = managers.length > 0 ? `${managers.join(' and ')} runs here` : 'no manager runs here';
  const [first] = found;
  if (!first) return ok(`the overlay's devices have no address but weft's; ${runs}`);
  const list = found.map(({ device, text }) => `${device} has ${text}`);
  return warn(
    `somebody gave addresses to the overlay's devices: ${someOf(list)}; ${runs}`,
    `keep the manager off them (docs/operations/install.md, "Network managers"), then: ip addr del ${first.text} dev ${first.device}`,
  );
}

/** Stock nodes say nothing of theirs. */
export function judgeMtus(nodes: readonly Pick<ReachNode, 'key' | 'mtu' | 'self'>[]): Finding {
  const known = nodes.filter(({ mtu }) => mtu !== null);
  const own = known.find(({ self }) => self);
  if (!own || known.length < 2) return skipped("no other node says its pods' MTU");
  const others = known.filter(({ mtu }) => mtu !== own.mtu);
  if (others.length === 0)
    return ok(`${known.length} nodes give their pods ${own.mtu} bytes, as this one does`);
  const list = others.map(({ key, mtu }) => `${key} ${mtu}`);
  return warn(
    `this node gives its pods an MTU of ${own.mtu} bytes, others a different one: ${someOf(list)}; packets larger than the smaller MTU get lost between them`,
    'give the interfaces of all nodes one MTU, or set Backend.MTU in the network config to the smallest, and restart weftd and the pods',
  );
}

export const NEIGHBOUR_CHECKS: readonly Check[] = [
  {
    id: 'other-flannel',
    group: 'overlay',
    severity: 'fail',
    title: 'another flannel',
    run: async (site) => {
      const names = [...(await overlayOf(site)).devices.values()];
      const links = await site.links();
      const theirs = links.find((link) => isKernelVxlan(link) && names.includes(link.ifname));
      return judgeOtherFlannel(await findFlanneld(), theirs?.ifname);
    },
  },
  {
    id: 'overlay-address-taken',
    group: 'overlay',
    severity: 'fail',
    title: "other nodes' addresses",
    run: async (site) => {
      const own = await site.ownLease();
      const subnets = (await site.leases())
        .filter(({ key }) => key !== own?.key)
        .flatMap(({ key, subnet4, subnet6 }) =>
          [subnet4, subnet6].flatMap((subnet) => (subnet ? { key, subnet } : [])),
        );
      // Whose lease is ours is not known before the first start.
      if (!own) return skipped('no lease of this node');
      const found = takenFrom(subnets, addressesOn(await site.links()));
      return judgeTaken(found.map(({ peer, address }) => ({ key: peer.key, address })));
    },
  },
  {
    id: 'node-mtus',
    group: 'overlay',
    severity: 'warn',
    title: "other nodes' MTU",
    run: async (site) => {
      const page = await site.reach();
      return 'error' in page ? skipped(page.error) : judgeMtus(page.nodes);
    },
  },
  {
    id: 'foreign-address',
    group: 'overlay',
    severity: 'warn',
    title: 'network managers',
    run: async (site) => judgeForeign(await foreignAddresses(site), await runningManagers()),
  },
];

async function foreignAddresses(site: Site): Promise<LocalAddress[]> {
  const lease = await site.ownLease();
  const own = [lease?.subnet4, lease?.subnet6].flatMap((subnet) => (subnet ? [subnet.words] : []));
  const { devices } = await overlayOf(site);
  if (own.length === 0) return [];
  return foreignOn([...devices.values()], own, addressesOn(await site.links()));
}
