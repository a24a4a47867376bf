/**
 * Echo requests to the peers, below and through the overlay, and what the daemon counted meanwhile. Peers that answer below and not
 * through the overlay are asked once more, one after the other: what grows then is theirs.
 */
import { execFile } from 'node:child_process';
import { egressOf } from '../../host/egress.ts';
import { formatAddress, parseAddress } from '../../shared/address.ts';
import { overlayOf } from './overlay.ts';
import { Refusals } from './refusals.ts';
import type { PeerView, Site, StatusPage } from './site.ts';
import { refusesOverlay } from './udp-probe.ts';

export const PEERS_PROBED = 8;
const SUSPECTS_MAX = 2;

export interface PeerProbe {
  peer: PeerView;
  underlay: boolean;
  /** undefined: not asked, no daemon or no device */
  overlay: boolean | undefined;
  /** its UDP port said that nobody listens */
  isRefused: boolean;
}

/** While only this peer was asked. */
export interface Suspect {
  peer: PeerView;
  sent: number;
  received: number;
  wrongMac: number;
  /** through which packets to it leave, where that is not the overlay's; '' for none */
  strayDevice: string | undefined;
}

export interface OverlayProbe {
  peers: PeerProbe[];
  suspects: Suspect[];
  /** why nothing was asked, '' otherwise */
  problem: string;
}

export async function probeOverlay(site: Site): Promise<OverlayProbe> {
  const peers = (await site.peers()).slice(0, PEERS_PROBED);
  const source = (await site.daemon()) ? await overlaySource(site) : undefined;
  const local = new Set((await site.links()).flatMap((link) => link.addr_info.map((a) => a.local)));
  const refusals = new Refusals();
  const ask = async (peer: PeerView): Promise<PeerProbe> => {
    const [underlay, overlay] = await Promise.all([
      answers(peer.publicIp),
      // An address that this host has itself would answer from here.
      source === undefined ? undefined : !local.has(peer.overlay) && answers(peer.overlay, source),
    ]);
    const isRefused = overlay !== true && (await refuses(site, peer, refusals));
    return { peer, underlay, overlay, isRefused };
  };
  try {
    const probes = await Promise.all(peers.map(ask));
    const silent = probes.filter(
      ({ underlay, overlay, isRefused }) => underlay && overlay === false && !isRefused,
    );
    const suspects: Suspect[] = [];
    for (const { peer } of silent.slice(0, SUSPECTS_MAX)) {
      const suspect = await askAlone(site, peer, source as string);
      if (suspect) suspects.push(suspect);
    }
    return { peers: probes, suspects, problem: '' };
  } catch (error) {
    return { peers: [], suspects: [], problem: (error as Error).message };
  } finally {
    refusals.close();
  }
}

async function refuses(site: Site, { publicIp }: PeerView, refusals: Refusals): Promise<boolean> {
  const { port, vni } = await overlayOf(site);
  if (port === undefined) return false;
  return (
    refusals.has(publicIp, port) ||
    (await refusesOverlay(publicIp, port, vni ?? 1)) ||
    refusals.has(publicIp, port)
  );
}

/** The address of this node's overlay device: peers answer to it. */
async function overlaySource(site: Site): Promise<string | undefined> {
  const { devices } = await overlayOf(site);
  const lease = await site.ownLease();
  const subnet = lease?.subnet4 ?? lease?.subnet6;
  return devices.size > 0 && subnet ? formatAddress(subnet.words) : undefined;
}

async function askAlone(site: Site, peer: PeerView, source: string): Promise<Suspect | undefined> {
  const before = await countsOf(site, peer.key);
  await answers(peer.overlay, source);
  const after = await countsOf(site, peer.key);
  if (!before || !after) return undefined;
  const wrongMac = after.wrongMac - before.wrongMac;
  // What came for an old MAC counts for nobody.
  const received = after.received - before.received + wrongMac;
  const strayDevice = await strayDeviceOf(site, peer, source);
  return { peer, sent: after.sent - before.sent, received, wrongMac, strayDevice };
}

async function strayDeviceOf(
  site: Site,
  { overlay }: PeerView,
  source: string,
): Promise<string | undefined> {
  const to = parseAddress(overlay);
  if (!to) return undefined;
  const device = (await egressOf([{ to, from: parseAddress(source) }])).get(overlay)?.device ?? '';
  return [...(await overlayOf(site)).devices.values()].includes(device) ? undefined : device;
}

async function countsOf(
  site: Site,
  key: string,
): Promise<{ sent: number; received: number; wrongMac: number } | undefined> {
  const status = await site.freshStatus();
  if ('error' in status) return undefined;
  const wrongMac = (status as StatusPage).drops?.inbound['inWrongMac'] ?? 0;
  return { ...(await site.freshTraffic(key)), wrongMac };
}

/** True when one of two echo requests is answered. Throws when ping can't be run. */
function answers(address: string, source?: string): Promise<boolean> {
  const family = address.includes(':') ? '-6' : '-4';
  const from = source === undefined ? [] : ['-I', source];
  const words = [family, '-n', '-q', '-c', '2', '-i', '0.2', '-W', '0.8', ...from, address];
  return new Promise((resolve, reject) => {
    execFile('ping', words, { timeout: 4_000 }, (error, _stdout, stderr) => {
      if (error?.code === 'ENOENT')
        reject(new Error('ping is missing: apt-get install iputils-ping'));
      else if (/not permitted|permission denied/i.test(stderr))
        reject(new Error('ping may not open a raw socket here; run as root'));
      else resolve(!error);
    });
  });
}
