/** Steady traffic between pods of a lab, at rates that a loaded machine carries too. */
import type { Lab } from './lab.ts';

export interface Load {
  /** numbers of pods */
  from: number;
  to: number;
  /** iperf3's --bitrate, such as 8M */
  rate: string;
  /** congestion control; default the host's */
  congestion?: string;
}

const SECONDS = 600;

/** Starts TCP streams that go on until the lab is closed. */
export async function startLoads(lab: Lab, loads: readonly Load[]): Promise<void> {
  for (const [i, { from, to, rate, congestion }] of loads.entries()) {
    const port = String(6100 + i);
    const server = lab.pod(to).namespace.spawn('iperf3', ['-s', '-p', port, '--forceflush']);
    await server.waitForOutput(/listening/);
    const target = ['-c', lab.pod(to).address(4), '-p', port];
    const how = congestion === undefined ? [] : ['-C', congestion];
    const load = ['-b', rate, '-t', String(SECONDS), ...how];
    lab.pod(from).namespace.spawn('iperf3', [...target, ...load]);
  }
}

/** Packets to an address that no node leases: each is a drop. */
export function startDrops(lab: Lab, from: number): void {
  lab.pod(from).namespace.spawn('ping', ['-q', '-i', '0.2', '10.244.255.1']);
}
