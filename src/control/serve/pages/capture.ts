/**
 * /capture: inner or outer packets as pcap, for as long as the client stays; /capture/stop ends it
 * with everything that was copied by then; /capture/summary: how the newest one goes.
 */
import { type CaptureSummary, captureQueryShape } from '../../../api/capture.ts';
import { parseQuery } from '../../../api/query.ts';
import type { Peer } from '../../../cluster/peers.ts';
import { formatAddress, formatPrefix, parseAddress } from '../../../shared/address.ts';
import type { Node } from '../../node.ts';
import type { CaptureWish } from '../../observe/capture.ts';
import type { Observation } from '../../observe/observation.ts';
import { Flow } from '../admin.ts';

export function capturePage(node: Node, query: URLSearchParams, gone: AbortSignal): Flow {
  const observation = observationOf(node);
  const wish = readWish(node, observation, query);
  return new Flow('application/vnd.tcpdump.pcap', observation.captures.start(wish, gone));
}

export function captureStopPage(node: Node): CaptureSummary {
  const { captures } = observationOf(node);
  captures.close();
  return captures.summary;
}

export function captureSummaryPage(node: Node): CaptureSummary {
  return observationOf(node).captures.summary;
}

function observationOf({ backend, config }: Node): Observation {
  if (backend?.observation) return backend.observation;
  const type = config?.backend.type;
  throw new Error(
    type === undefined
      ? 'the daemon is still starting'
      : `backend ${type}: the kernel carries the packets; capture them with tcpdump`,
  );
}

function readWish(node: Node, observation: Observation, query: URLSearchParams): CaptureWish {
  const { side, count, seconds, snap, address, peer } = parseQuery(captureQueryShape, query);
  const wish: CaptureWish = {
    side,
    packetsMax: count ?? Number.POSITIVE_INFINITY,
    durationMs: seconds * 1000,
    snapBytes: snap,
  };
  if (address !== undefined) {
    const words = parseAddress(address);
    if (!words) throw new RangeError(`address: not an IP address: ${address}`);
    wish.address = words;
  }
  if (peer !== undefined) wish.slots = slotsOf(node.peers, observation, peer);
  return wish;
}

/** A node by its key, subnet or address in the underlay; in a dual-stack cluster its key names both its peers. */
function slotsOf(peers: readonly Peer[], { ledger }: Observation, name: string): number[] {
  const named = peers.filter(
    (peer) =>
      peer.key === name ||
      formatPrefix(peer.subnet) === name ||
      formatAddress(peer.address) === name,
  );
  const keys = new Set(named.map(({ key }) => key));
  if (keys.size > 1) throw new RangeError(`peer: ${name} names ${keys.size} peers; give a subnet`);
  const slots = named.flatMap((peer) => ledger.slotOf(peer) ?? []);
  if (slots.length === 0)
    throw new RangeError(`peer: no peer ${name}; "weft peers" lists their subnets and nodes`);
  return slots;
}
