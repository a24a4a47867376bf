/** Open vSwitch with its userspace datapath: ovs-vswitchd does the VXLAN; packets by AF_PACKET and TAP. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { UNDERLAY_DEVICE } from '../../../lab/fabric.ts';
import { overlayAddress, versionFrom } from './daemon.ts';
import type { Plane } from './plane.ts';
import { buildRouted, type RoutedNode } from './routed.ts';

/** holds the underlay device; its own end has the underlay address */
const UNDERLAY_BRIDGE = 'br-underlay';
/** holds the tunnel; its own end is where the node routes the other's pods to */
const TUNNEL_BRIDGE = 'br-tunnel';
/** 1500 less IPv4 (20), UDP (8), VXLAN (8) and the inner Ethernet header (14) */
const POD_MTU = 1450;

/** One transaction: two userspace bridges, the underlay device in one, the tunnel in the other. */
export function bridgeArguments(remote: string): string[] {
  return [
    bridge(UNDERLAY_BRIDGE),
    ['add-port', UNDERLAY_BRIDGE, UNDERLAY_DEVICE],
    bridge(TUNNEL_BRIDGE),
    ['set', 'interface', TUNNEL_BRIDGE, `mtu_request=${POD_MTU}`],
    ['add-port', TUNNEL_BRIDGE, 'vxlan0'],
    ['set', 'interface', 'vxlan0', 'type=vxlan', `options:remote_ip=${remote}`, 'options:key=1'],
  ].flatMap((command) => ['--', ...command]);
}

function bridge(name: string): string[] {
  return ['add-br', name, '--', 'set', 'bridge', name, 'datapath_type=netdev'];
}

async function joinNode(node: RoutedNode): Promise<void> {
  const { namespace } = node;
  const inHome = ownHome(node);
  await namespace.exec('env', [...inHome, 'ovsdb-tool', 'create']);
  namespace.spawn('env', [...inHome, 'ovsdb-server', `--remote=punix:${home(node)}/db.sock`]);
  const control = [...inHome, 'ovs-vsctl', '--retry', '--timeout=10'];
  await namespace.exec('env', [...control, '--no-wait', 'init']);
  namespace.spawn('env', [...inHome, 'ovs-vswitchd']);
  // Returns when the daemon has set up what the database says.
  await namespace.exec('env', [...control, ...bridgeArguments(node.remote)]);
  await moveUnderlayAddress(node);
  await routeOverTunnel(node);
}

function home(node: RoutedNode): string {
  return join(node.folder, `openvswitch-${node.index}`);
}

/** Database, sockets and logs of this node in a folder of its own, for `env`. */
function ownHome(node: RoutedNode): string[] {
  mkdirSync(home(node));
  return ['DBDIR', 'RUNDIR', 'LOGDIR'].map((name) => `OVS_${name}=${home(node)}`);
}

/**
 * The tunnel leaves through the bridge that has the underlay address. The kernel still sees what arrives on the
 * underlay device; strict filtering drops it there, or it would answer "port unreachable" to every packet.
 */
async function moveUnderlayAddress({ namespace, local }: RoutedNode): Promise<void> {
  await namespace.sysctl({
    [`net/ipv4/conf/${UNDERLAY_DEVICE}/rp_filter`]: 1,
    [`net/ipv4/conf/${UNDERLAY_DEVICE}/arp_ignore`]: 1,
    [`net/ipv6/conf/${UNDERLAY_DEVICE}/disable_ipv6`]: 1,
  });
  await namespace.ip('addr', 'flush', 'dev', UNDERLAY_DEVICE);
  await namespace.ip('addr', 'add', `${local}/24`, 'dev', UNDERLAY_BRIDGE);
  await namespace.ip('link', 'set', UNDERLAY_BRIDGE, 'up');
}

async function routeOverTunnel({ namespace, index, remoteSubnet }: RoutedNode): Promise<void> {
  await namespace.ip('addr', 'add', `${overlayAddress(index)}/24`, 'dev', TUNNEL_BRIDGE);
  await namespace.ip('link', 'set', TUNNEL_BRIDGE, 'up');
  const gateway = overlayAddress(index === 1 ? 2 : 1);
  await namespace.ip('route', 'add', remoteSubnet, 'via', gateway);
}

export const openvswitch: Plane = {
  id: 'openvswitch',
  label: 'Open vSwitch, userspace VXLAN',
  besides: 'switches by flow table',
  commands: {
    'ovs-vswitchd': 'openvswitch-switch',
    'ovs-vsctl': 'openvswitch-switch',
    'ovsdb-server': 'openvswitch-common',
    'ovsdb-tool': 'openvswitch-common',
  },
  core: false,
  build: async (link) =>
    buildRouted({
      link,
      podMtu: POD_MTU,
      version: await versionFrom('Open vSwitch', ['ovs-vswitchd', '--version'], /\) (\S+)/),
      join: async (nodes) => {
        for (const node of nodes) await joinNode(node);
      },
    }),
};
