/** What a daemon of a lab says about itself. */
import http from 'node:http';
import type { WeftNode } from '../../lab/weft-node.ts';

export interface NodeStatus {
  pid: number;
  healthy: boolean;
  notReady: string | null;
  lease: { key: string; state: string; isPermanent: boolean; expiresAt: string | null };
  mtu: number;
  node: { interface: string; publicIp: string };
  store: { ok: boolean; message: string };
  firewall: { ok: boolean; problem: string };
  peers: { total: number; held: number };
  workers: { state: string; restarts: number }[];
  devices: { device: string; mtu: number }[];
  counters: Record<string, number>;
}

/** GET on the admin socket. */
export function adminPage(socketPath: string, page: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path: page }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
    });
    request.on('error', reject);
  });
}

export async function statusOf(node: WeftNode): Promise<NodeStatus> {
  return JSON.parse(await adminPage(node.adminSocket, '/status')) as NodeStatus;
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
