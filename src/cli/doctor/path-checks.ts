/** Checks of the way to the peers: echo below and through the overlay, path MTU, what happens to VXLAN on the way. */

import { formatAddress } from '../../shared/address.ts';
import { measurePath, packetBytes } from '../link-test/path-mtu.ts';
import { type Check, type Finding, fail, LIMIT_MS, ok, skipped, someOf, warn } from './check.ts';
import { overlayOf } from './overlay.ts';
import type { OverlayProbe, PeerProbe, Suspect } from './overlay-probe.ts';
import { loadRawSocket, rawEcho } from './raw-echo.ts';
import type { Site } from './site.ts';
import { probeUdp, type UdpAnswers } from './udp-probe.ts';

const WAVE_MS = 800;
const PATHS_MAX = 8;
const UDP_PEERS_MAX = 4;
/** Usual MTUs: Ethernet, PPPoE, tunnels, the least that IPv6 and IPv4 demand. */
const USUAL_MTUS = [
  1500, 1492, 1480, 1476, 1460, 1450, 1440, 1430, 1420, 1400, 1380, 1360, 1300, 1280, 1000, 576,
];

export function judgeReach({ peers, problem }: OverlayProbe): Finding {
  if (problem !== '') return skipped(problem);
  if (peers.length === 0) return skipped('no peers');
  const lost = peers.filter(({ underlay, overlay }) => !underlay && overlay !== true);
  if (lost.length === 0) return ok(`${peers.length} of ${peers.length} answer`);
  const list = someOf(lost.map(({ peer }) => peer.publicIp));
  return warn(
    `no answer to ICMP echo from ${list} (${lost.length} of ${peers.length})`,
    `look from both ends: ip route get ${lost[0]?.peer.publicIp}; is the node up, does a firewall drop ICMP?`,
  );
}

export function judgeOverlay({ peers, suspects, problem }: OverlayProbe, port: number): Finding {
  if (problem !== '') return skipped(problem);
  const asked = peers.filter(({ overlay }) => overlay !== undefined);
  if (asked.length === 0) return skipped(peers.length === 0 ? 'no peers' : 'no daemon answers');
  const silent = asked.filter(({ overlay }) => !overlay);
  if (silent.length === 0)
    return ok(`${asked.length} of ${asked.length} peers answer through the overlay`);
  const lost = silent.filter(({ isRefused }) => !isRefused);
  if (lost.length === 0) return skipped(`nobody listens on ${addressesOf(silent)}: see udp-shape`);
  const below = lost.filter(({ underlay }) => underlay);
  const list = someOf(lost.map(({ peer }) => `${peer.overlay} (${peer.publicIp})`));
  if (below.length === 0)
    return fail(`no answer from ${list}, nor from the underlay`, 'see underlay-reach');
  const details = suspects.map((suspect) => renderSuspect(suspect, port));
  if (suspects.length > 0 && suspects.every(({ wrongMac }) => wrongMac > 0))
    return fail(`no answer from ${list}; ${details.join('; ')}`, 'see stale-mac');
  const text = `the underlay answers, the overlay does not: ${list}; ${details.join('; ')}`;
  const here = suspects.find(isUnsent);
  if (here && suspects.every(isUnsent))
    return fail(
      text,
      `ip route get ${here.peer.overlay}: remove the route or the rule that leads elsewhere; see forward-policy`,
    );
  return fail(
    text,
    `allow UDP ${port} in both directions, on both nodes and between: nft insert rule inet filter input udp dport ${port} accept`,
  );
}

/** What was asked did not come to weft: the peer and the way to it have no part in it. */
function isUnsent({ sent, strayDevice }: Suspect): boolean {
  return sent === 0 || strayDevice !== undefined;
}

function renderSuspect(suspect: Suspect, port: number): string {
  const { peer, sent, received, wrongMac, strayDevice } = suspect;
  if (strayDevice === '') return `this host has no route to ${peer.overlay}`;
  if (strayDevice !== undefined)
    return `this host sends what is for ${peer.overlay} through ${strayDevice}`;
  const counts = `asking ${peer.publicIp}: sent ${sent}, received ${received}`;
  if (wrongMac > 0) return `${counts}, all for an old MAC`;
  if (sent === 0) return `${counts}: no packet came to weft`;
  return received === 0 ? `${counts}: something drops UDP ${port} to it or from it` : counts;
}

/** Growth tells of now; the total is history. */
export function judgeStaleMac({ suspects, problem, peers }: OverlayProbe, total: number): Finding {
  if (problem !== '') return skipped(problem);
  const stale = suspects.filter(({ wrongMac }) => wrongMac > 0);
  if (stale.length === 0)
    return ok(`${peers.length} peers asked, none uses an old one (${total} such packets so far)`);
  const list = someOf(stale.map(({ peer }) => peer.publicIp));
  return fail(
    `${list} sends to a MAC that is not ours any more`,
    `on ${stale[0]?.peer.publicIp}: systemctl restart flanneld (or weftd); it has not followed the lease`,
  );
}

function addressesOf(probes: readonly PeerProbe[]): string {
  return someOf(probes.map(({ peer }) => peer.publicIp));
}

export interface PathFact {
  address: string;
  /** 0: no size was answered */
  carriesBytes: number;
  wantedBytes: number;
}

export function judgePaths(
  paths: readonly PathFact[],
  how: string,
  overheadBytes: number,
): Finding {
  const known = paths.filter(({ carriesBytes }) => carriesBytes > 0);
  if (known.length === 0) return skipped(`no peer answers to ICMP echo (by ${how})`);
  const narrow = known.filter(({ carriesBytes, wantedBytes }) => carriesBytes < wantedBytes);
  const least = Math.min(...known.map(({ carriesBytes }) => carriesBytes));
  const wanted = known[0]?.wantedBytes ?? 0;
  if (narrow.length === 0)
    return ok(`${known.length} paths carry what weft sends, ${wanted} bytes (by ${how})`);
  const list = someOf(narrow.map(({ address, carriesBytes }) => `${address} ${carriesBytes}`));
  return fail(
    `weft sends up to ${wanted} bytes, the path carries less: ${list} (by ${how})`,
    `set Backend.MTU to ${least} in the network config (pods get ${least - overheadBytes}) and restart weftd on all nodes`,
  );
}

export function judgeUdp(
  answers: readonly (UdpAnswers & { address: string })[],
  { peers }: Pick<OverlayProbe, 'peers'>,
  port: number,
): Finding {
  if (answers.length === 0) return skipped('no peer to ask');
  const names = (list: typeof answers): string => someOf(list.map(({ address }) => address));
  const closed = peers.filter(({ isRefused }) => isRefused);
  if (closed.length > 0)
    return fail(
      `nobody listens on UDP ${port} of ${addressesOf(closed)}`,
      'start weftd or flanneld there; is the Backend.Port the same on all nodes?',
    );
  const eaten = answers.filter(({ plain, shaped }) => plain && !shaped);
  if (eaten.length > 0)
    return warn(
      `plain UDP reaches ${names(eaten)}, VXLAN-shaped UDP does not: something on the path drops what looks like VXLAN`,
      'hypervisors do this (flannel #2388): update it, switch its own VXLAN off, or use Backend.Type udp',
    );
  const silent = answers.filter(({ plain }) => !plain);
  if (silent.length === answers.length)
    return skipped("closed ports are not answered (a firewall drops): can't tell");
  return ok(`plain and VXLAN-shaped UDP reach ${answers.length - silent.length} peers alike`);
}

export const PATH_CHECKS: readonly Check[] = [
  {
    id: 'underlay-reach',
    group: 'underlay',
    severity: 'warn',
    network: true,
    title: 'peers below the overlay',
    run: async (_site, overlay) => judgeReach(await overlay()),
  },
  {
    id: 'underlay-path-mtu',
    group: 'underlay',
    severity: 'fail',
    network: true,
    title: 'path MTU',
    run: checkPaths,
  },
  {
    id: 'udp-shape',
    group: 'underlay',
    severity: 'fail',
    network: true,
    title: 'plain and VXLAN-shaped UDP',
    run: async (site, overlay) => {
      const { port } = await overlayOf(site);
      if (port === undefined) return skipped('no UDP port');
      const peers = (await site.peers()).slice(0, UDP_PEERS_MAX);
      const answers = await Promise.all(
        peers.map(async ({ publicIp }) => ({
          address: publicIp,
          ...(await probeUdp(publicIp)),
        })),
      );
      return judgeUdp(answers, await overlay(), port);
    },
  },
  {
    id: 'overlay-reach',
    group: 'overlay',
    severity: 'fail',
    network: true,
    title: 'peers through the overlay',
    run: async (site, overlay) => {
      const { port } = await overlayOf(site);
      return port === undefined ? skipped('no UDP port') : judgeOverlay(await overlay(), port);
    },
  },
  {
    id: 'stale-mac',
    group: 'overlay',
    severity: 'fail',
    network: true,
    title: "peers' idea of our MAC",
    run: async (site, overlay) => {
      const status = await site.daemon();
      if (!status?.drops) return skipped('no daemon answers');
      return judgeStaleMac(await overlay(), status.drops.inbound['inWrongMac'] ?? 0);
    },
  },
];

async function checkPaths(site: Site): Promise<Finding> {
  const external = await site.external();
  const { devices, overheadBytes, outerMtu } = await overlayOf(site);
  if ('error' in external || devices.size === 0) return skipped('no interface or no config');
  const wantedBytes = Math.min(outerMtu ?? external.mtu, external.mtu);
  const peers = (await site.peers()).slice(0, PATHS_MAX).map(({ publicIp }) => publicIp);
  if (peers.length === 0) return skipped('no peers');
  const raw = loadRawSocket();
  const isRaw = raw !== undefined && peers.every((address) => !address.includes(':'));
  if (!isRaw) {
    const local = external.address4 ?? external.address6;
    const from = local ? formatAddress(local) : '';
    return judgePaths(await pathsByPing(from, peers, wantedBytes), 'ping', overheadBytes);
  }
  const sizes = [wantedBytes, ...USUAL_MTUS.filter((size) => size < wantedBytes)];
  const echoes = await rawEcho(raw, peers, sizes, WAVE_MS);
  const paths = [...echoes].map(([address, { largestBytes, namedMtu }]) => {
    const carriesBytes = largestBytes > 0 ? Math.max(largestBytes, namedMtu ?? 0) : 0;
    return { address, carriesBytes, wantedBytes };
  });
  return judgePaths(paths, 'raw-socket', overheadBytes);
}

async function pathsByPing(
  local: string,
  peers: readonly string[],
  wantedBytes: number,
): Promise<PathFact[]> {
  const signal = AbortSignal.timeout(LIMIT_MS - 500);
  return Promise.all(
    peers.map(async (address) => {
      const family = address.includes(':') ? 6 : 4;
      const result = await measurePath(local, address, family, signal).catch(() => undefined);
      const payload = result && 'payloadBytes' in result ? result.payloadBytes : undefined;
      const carriesBytes = payload === undefined ? 0 : packetBytes(payload, family);
      return { address, carriesBytes, wantedBytes };
    }),
  );
}
