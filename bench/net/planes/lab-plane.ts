/** Planes that the project's own lab builds: weft, kernel VXLAN, and one of each as peers. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lab, type LabDescription, NETWORKS } from '../../../lab/lab.ts';
import { type LabNode, mustParsePrefix } from '../../../lab/node.ts';
import type { Exec } from '../../../src/host/exec.ts';
import { createFirewall } from '../../../src/host/firewall/firewall.ts';
import { programVersion } from '../../../src/shared/version.ts';
import type { Link } from '../links.ts';
import type { Plane, Rig } from './plane.ts';

type LabNodes = LabDescription['nodes'];

const SETTLE_MS = 15_000;
const WEFT: LabNodes = [{ kind: 'weft' }, { kind: 'weft' }];

export function kernelRelease(): string {
  return `Linux ${readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()}`;
}

function labPlane(
  id: string,
  label: string,
  nodes: LabNodes,
  more: Partial<LabDescription> = {},
  core = false,
): Plane {
  const version = nodes.some((node) => node.kind === 'weft')
    ? `weft ${programVersion()}`
    : kernelRelease();
  return {
    id,
    label,
    besides: '',
    commands: {},
    core,
    build: (link) => buildRig({ workers: 1, ...more, nodes }, link, version),
  };
}

async function buildRig(description: LabDescription, link: Link, version: string): Promise<Rig> {
  const lab = await Lab.build({
    ...description,
    underlayShape: 'point-to-point',
    underlayOffloads: link.offloads,
    underlayMtu: link.underlayMtu,
    families: [link.family],
  });
  // A large store is read for some seconds after the start; that must not fall into a measurement.
  if (description.extraPeers) await sleep(SETTLE_MS);
  // The peers are programmed; a follower that goes on reading the store would take part in the measurement.
  for (const node of lab.kernelNodes) {
    await node.stopFollowing();
    await addForwardRules(node);
  }
  const end = (i: number) => ({
    namespace: lab.pod(i).namespace,
    address: lab.pod(i).address(link.family),
  });
  return {
    from: end(0),
    to: end(1),
    nodes: lab.nodes.map((node) => node.namespace),
    podMtu: lab.pod(0).node.network.mtu,
    version,
    close: () => lab.close(),
  };
}

/** As stock flanneld does where nothing else is said, and weftd too: every packet between pods passes these rules. */
async function addForwardRules({ namespace, network }: LabNode): Promise<void> {
  const run: Exec = async (command, args, input) =>
    (await namespace.exec(command, args, input === undefined ? {} : { input })).stdout;
  const families = ([4, 6] as const).flatMap((family) => {
    const subnet = family === 4 ? network.subnet4 : network.subnet6;
    return subnet ? [{ family, network: mustParsePrefix(NETWORKS[family]), subnet }] : [];
  });
  const nothingElse = { masquerade: false, fullyRandom: false, guarded: [] };
  await createFirewall('iptables', { families, forward: true, ...nothingElse }, run).ensure();
}

const FAST: Partial<LabDescription> = { fastPath: 'on' };

/** `cores`: worker threads of the planes with several. */
export function labPlanes(cores: number): Plane[] {
  return [
    labPlane('kernel', 'kernel VXLAN', [{ kind: 'kernel' }, { kind: 'kernel' }], {}, true),
    labPlane('weft', 'weft, VXLAN, 1 worker', WEFT, {}, true),
    labPlane('weft-fast', 'weft, VXLAN, fast path', WEFT, FAST, true),
    labPlane('weft-deep', 'weft, VXLAN, 1 worker, one queue for all, which may stand', WEFT, {
      offload: 'auto,-aqm,-bulkQueue',
    }),
    labPlane('weft-mixed', 'weft, VXLAN, 1 worker, one queue for all flows', WEFT, {
      offload: 'auto,-bulkQueue',
    }),
    labPlane('weft-n', `weft, VXLAN, ${cores} workers`, WEFT, { workers: cores }),
    labPlane('weft-udp', 'weft, flannel-UDP, 1 worker', WEFT, { backend: 'udp' }),
    labPlane('weft-udp-n', `weft, flannel-UDP, ${cores} workers`, WEFT, {
      backend: 'udp',
      workers: cores,
    }),
    labPlane('weft-50k', 'weft, VXLAN, 1 worker, 50,000 peers', WEFT, { extraPeers: 49_998 }),
    labPlane('weft-off', 'weft, VXLAN, every offload off', WEFT, { offload: 'off' }),
    labPlane('weft-kernel', 'mixed: weft → kernel VXLAN', [{ kind: 'weft' }, { kind: 'kernel' }]),
    labPlane('kernel-weft', 'mixed: kernel VXLAN → weft', [{ kind: 'kernel' }, { kind: 'weft' }]),
    labPlane(
      'fast-kernel',
      'mixed: weft, fast path → kernel VXLAN',
      [{ kind: 'weft' }, { kind: 'kernel' }],
      FAST,
    ),
    labPlane(
      'kernel-fast',
      'mixed: kernel VXLAN → weft, fast path',
      [{ kind: 'kernel' }, { kind: 'weft' }],
      FAST,
    ),
  ];
}
