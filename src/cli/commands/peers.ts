/** weft peers: the nodes this one sends to, and what went to and came from each. */
import { type Command, Option } from 'commander';
import { type PeersPage, peersShape } from '../pages.ts';
import { renderAge, renderBytes, renderTable } from '../render.ts';
import { addShow, fetchShape, type OnExit, type ShowOptions } from '../show.ts';

type Peer = PeersPage['peers'][number];

interface PeersOptions {
  sort?: SortKey;
  dump?: boolean;
}

/** Largest, newest or worst first; the daemon's order is that of the store. */
const ORDERS = {
  subnet: (a: Peer, b: Peer) => a.subnet.localeCompare(b.subnet, 'en', { numeric: true }),
  heard: (a: Peer, b: Peer) => heardMs(b) - heardMs(a),
  sent: (a: Peer, b: Peer) => b.sentBytes - a.sentBytes,
  received: (a: Peer, b: Peer) => b.receivedBytes - a.receivedBytes,
  rtt: (a: Peer, b: Peer) => (b.rttMs ?? -1) - (a.rttMs ?? -1),
  loss: (a: Peer, b: Peer) => (b.lossRatio ?? -1) - (a.lossRatio ?? -1),
} as const;
type SortKey = keyof typeof ORDERS;

export function addPeers(program: Command, onExit: OnExit): void {
  let isDump = false;
  addShow<typeof peersShape, PeersOptions>(program, onExit, {
    name: 'peers',
    description: 'the nodes this one sends to, and the traffic with each',
    options: (command) =>
      command
        .addOption(new Option('--sort <by>', 'order').choices(Object.keys(ORDERS)))
        .option('--dump', 'tab-separated, no header, for scripts'),
    help: DUMP_HELP,
    shape: peersShape,
    answer: async ({ adminSocket, sort, dump }: ShowOptions & PeersOptions) => {
      isDump = dump === true;
      const page = await fetchShape(adminSocket, '/peers', peersShape);
      if (sort) page.peers.sort(ORDERS[sort]);
      return page;
    },
    render: (page, _style, nowMs) => (isDump ? dumpPeers(page) : renderPeers(page, nowMs)),
  });
}

const DUMP_HELP = `Columns of --dump, which stay as they are; "-" is unknown: key, family, subnet, node, port, VTEP MAC, last heard
(seconds since 1970), packets sent, bytes sent, packets received, bytes received, round trip (ms), loss (0 to 1).`;

export function renderPeers({ peers }: PeersPage, nowMs: number): string {
  if (peers.length === 0) return 'no peers: no other node holds a lease that this one can use';
  const hasNames = peers.some(({ nodeName }) => nodeName != null);
  const named = (name: string | null | undefined, rest: string[]): string[] =>
    hasNames ? [name ?? '-', ...rest] : rest;
  const rows = peers.map((peer) =>
    named(peer.nodeName, [
      peer.subnet,
      peer.publicIp,
      peer.mac ?? '-',
      peer.lastHeardAt === null ? '-' : `${renderAge(Math.max(0, nowMs - heardMs(peer)))} ago`,
      renderBytes(peer.sentBytes),
      renderBytes(peer.receivedBytes),
      peer.reach === 'lost'
        ? 'no answer'
        : peer.rttMs == null
          ? '-'
          : `${peer.rttMs.toFixed(2)} ms`,
      peer.lossRatio == null ? '-' : `${Math.round(peer.lossRatio * 100)}%`,
    ]),
  );
  const head = ['SUBNET', 'NODE', 'VTEP-MAC', 'HEARD', 'SENT', 'RECEIVED', 'RTT', 'LOSS'];
  return renderTable(named('NAME', head), rows);
}

export function dumpPeers({ peers }: PeersPage): string {
  const line = (peer: Peer): string =>
    [
      peer.key,
      peer.family,
      peer.subnet,
      peer.publicIp,
      peer.port,
      peer.mac ?? '-',
      peer.lastHeardAt === null ? '-' : Math.floor(heardMs(peer) / 1000),
      peer.sentPackets,
      peer.sentBytes,
      peer.receivedPackets,
      peer.receivedBytes,
      peer.rttMs ?? '-',
      peer.lossRatio ?? '-',
    ].join('\t');
  return peers.map(line).join('\n');
}

function heardMs({ lastHeardAt }: Peer): number {
  return lastHeardAt === null ? 0 : Date.parse(lastHeardAt);
}
