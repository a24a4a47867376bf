/** What a daemon of a lab says about itself. */
import { adminPage } from '../../lab/admin-page.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import type { PeersPage } from '../../src/api/peers.ts';
import type { Plane, StatusPage } from '../../src/api/status.ts';

/** /status of a node that is up. */
export type NodeStatus = StatusPage &
  Plane & {
    [Key in 'lease' | 'mtu' | 'node' | 'firewall']: NonNullable<StatusPage[Key]>;
  };

export { adminPage };

export async function statusOf(node: WeftNode): Promise<NodeStatus> {
  return JSON.parse(await adminPage(node.adminSocket, '/status')) as NodeStatus;
}

/** Subnets of the peers that a node sends to. */
export async function peerSubnets(node: WeftNode): Promise<string[]> {
  const { peers } = JSON.parse(await adminPage(node.adminSocket, '/peers')) as PeersPage;
  return peers.map(({ subnet }) => subnet);
}

/** Status and body of a page of the health server, asked from inside the node's namespace. */
export async function healthPage(
  node: WeftNode,
  port: number,
  page: string,
): Promise<{ status: number; body: string }> {
  const script = `fetch('http://127.0.0.1:${port}${page}').then(async (r) => console.log(JSON.stringify({ status: r.status, body: await r.text() })), () => console.log('{"status":0,"body":""}'))`;
  const { stdout } = await node.namespace.exec(process.execPath, ['-e', script]);
  return JSON.parse(stdout) as { status: number; body: string };
}
