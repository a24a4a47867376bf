/** Open vSwitch with its userspace datapath and a VXLAN port; every node has its own daemons and files. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../../src/lab/command.ts';
import { UNDERLAY_DEVICE } from '../../../src/lab/fabric.ts';
import type { Plane } from './plane.ts';
import { buildRouted, type RoutedNode } from './routed.ts';
import { waitForDevice } from './wait.ts';

const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';
const UNDERLAY_BRIDGE = 'br-phy';
const OVERLAY_BRIDGE = 'br-int';
const MTU = 1450;

const overlayAddress = (index: number): string => `192.168.102.${index}`;

/** ovs-vsctl against this node's database; tries again while the server starts. */
async function configure(node: RoutedNode, folder: string, args: string[]): Promise<void> {
  const database = `--db=unix:${join(folder, 'db.sock')}`;
  for (let attempt = 1; ; attempt++) {
    const command = ['-t', '10', database, ...args];
    const done = await node.namespace.exec('ovs-vsctl', command, { allowFailure: true });
    if (done.code === 0) return;
    if (attempt === 20) throw new Error(`ovs-vsctl ${args.join(' ')}: ${done.stderr.trim()}`);
    await sleep(100);
  }
}

async function startDaemons(node: RoutedNode, folder: string): Promise<void> {
  const database = join(folder, 'conf.db');
  const socket = join(folder, 'db.sock');
  // Daemons put further sockets into their run directory, which the nodes must not share.
  const environment = [`OVS_RUNDIR=${folder}`, `OVS_LOGDIR=${folder}`];
  await run('ovsdb-tool', ['create', database, SCHEMA]);
  const control = (name: string): string => `--unixctl=${join(folder, name)}`;
  const server = ['ovsdb-server', database, `--remote=punix:${socket}`, control('db.ctl')];
  node.namespace.spawn('env', [...environment, ...server]);
  await configure(node, folder, ['--no-wait', 'init']);
  const daemon = ['ovs-vswitchd', `unix:${socket}`, control('vs.ctl')];
  node.namespace.spawn('env', [...environment, ...daemon]);
}

/** The datapath finds tunnel destinations only through a bridge of its own, so the underlay's address moves onto one. */
async function start(node: RoutedNode): Promise<void> {
  const folder = join(node.folder, `ovs${node.index}`);
  mkdirSync(folder);
  await startDaemons(node, folder);
  const bridge = (name: string): string[] => [
    ...['add-br', name, '--', 'set', 'bridge', name, 'datapath_type=netdev'],
  ];
  await configure(node, folder, bridge(UNDERLAY_BRIDGE));
  await configure(node, folder, ['add-port', UNDERLAY_BRIDGE, UNDERLAY_DEVICE]);
  await configure(node, folder, bridge(OVERLAY_BRIDGE));
  const type = ['type=vxlan', `options:remote_ip=${node.remote}`, 'options:key=1'];
  await configure(node, folder, [
    ...['add-port', OVERLAY_BRIDGE, 'vx0', '--', 'set', 'interface', 'vx0', ...type],
  ]);
  await waitForDevice(node.namespace, OVERLAY_BRIDGE);
  await node.namespace.ip('addr', 'flush', 'dev', UNDERLAY_DEVICE);
  await giveAddress(node, UNDERLAY_BRIDGE, node.local, 1500);
  await giveAddress(node, OVERLAY_BRIDGE, overlayAddress(node.index), MTU);
  await node.namespace.ip('route', 'add', node.remoteSubnet, 'via', overlayAddress(3 - node.index));
}

async function giveAddress(
  node: RoutedNode,
  device: string,
  address: string,
  mtu: number,
): Promise<void> {
  await node.namespace.ip('addr', 'add', `${address}/24`, 'dev', device);
  await node.namespace.ip('link', 'set', device, 'mtu', String(mtu), 'up');
}

export const openvswitch: Plane = {
  id: 'openvswitch',
  label: 'Open vSwitch, userspace datapath',
  besides: '',
  commands: { 'ovs-vswitchd': 'openvswitch-switch', 'ovsdb-server': 'openvswitch-switch' },
  build: async (link) => {
    const { stdout } = await run('ovs-vswitchd', ['--version']);
    return buildRouted({
      link,
      podMtu: MTU,
      version: (stdout.split('\n')[0] as string).trim(),
      join: async (nodes) => {
        for (const node of nodes) await start(node);
      },
    });
  },
};
