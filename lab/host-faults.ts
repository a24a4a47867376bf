/** What others do to a running node: each takes something away that its pods need. */
import { UNDERLAY_DEVICE } from './fabric.ts';
import type { WeftNode } from './weft-node.ts';

export interface HostFault {
  name: string;
  /** How long the fault itself lasts, ms: in that time nobody could carry packets. */
  lastsMs: number;
  /** Makes ready what the fault needs; without effect on traffic. */
  prepare?(node: WeftNode): Promise<void>;
  happen(node: WeftNode): Promise<void>;
}

const DEVICE = 'flannel.1';
const FLAP_MS = 300;

const ip =
  (...args: string[]) =>
  async (node: WeftNode): Promise<void> => {
    await node.namespace.ip(...args);
  };
const run =
  (command: string, ...args: string[]) =>
  async (node: WeftNode): Promise<void> => {
    await node.namespace.exec(command, args);
  };

/** For a vxlan lab with IPv4. */
export const HOST_FAULTS: readonly HostFault[] = [
  { name: 'device deleted', lastsMs: 0, happen: ip('link', 'delete', DEVICE) },
  { name: 'device renamed', lastsMs: 0, happen: ip('link', 'set', DEVICE, 'name', 'lost0') },
  { name: 'device down', lastsMs: 0, happen: ip('link', 'set', DEVICE, 'down') },
  { name: "device's address flushed", lastsMs: 0, happen: ip('addr', 'flush', 'dev', DEVICE) },
  { name: 'routes flushed', lastsMs: 0, happen: ip('route', 'flush', 'proto', '86') },
  {
    name: 'forward rules flushed, policy DROP',
    lastsMs: 0,
    prepare: run('iptables', '-P', 'FORWARD', 'DROP'),
    happen: run('iptables', '-F', 'FLANNEL-FWD'),
  },
  {
    name: `underlay down for ${FLAP_MS} ms`,
    lastsMs: FLAP_MS,
    async happen({ namespace }) {
      await namespace.ip('link', 'set', UNDERLAY_DEVICE, 'down');
      await new Promise((resolve) => setTimeout(resolve, FLAP_MS));
      await namespace.ip('link', 'set', UNDERLAY_DEVICE, 'up');
    },
  },
];
