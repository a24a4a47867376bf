/**
 * Why a packet was not forwarded: every such packet gets exactly one of these reasons.
 * The order is the order of the counters; advice is what `weft` prints beside a reason.
 */
interface DropReason {
  readonly direction: 'outbound' | 'inbound';
  readonly text: string;
  readonly advice: string;
}

const reasons = {
  outMalformed: {
    direction: 'outbound',
    text: 'broken IP header',
    advice:
      'a pod or the host sent bytes that are not an IP packet; look at it with a capture on the TUN device',
  },
  outFamily: {
    direction: 'outbound',
    text: 'IP family that this backend or device does not carry',
    advice: 'IPv6 needs EnableIPv6 and the vxlan backend',
  },
  outMulticast: {
    direction: 'outbound',
    text: 'multicast, broadcast or link-local destination',
    advice: 'harmless: the overlay carries unicast only, as flannel does',
  },
  outOwnSubnet: {
    direction: 'outbound',
    text: "destination in this node's own subnet",
    advice: 'no pod has this address; check that the pod bridge has a route for the subnet',
  },
  outNoRoute: {
    direction: 'outbound',
    text: 'no node leases the destination',
    advice: 'the address lies in no subnet of "weft peers"; the sender got ICMP unreachable',
  },
  outOverlayLoop: {
    direction: 'outbound',
    text: "this node's own encapsulated packet came back into the overlay",
    advice:
      "a peer's public address is routed through the overlay: check Network against the underlay's addresses",
  },
  outTtl: {
    direction: 'outbound',
    text: 'TTL ended here',
    advice: 'normal for traceroute; otherwise there is a routing loop',
  },
  outBadOffload: {
    direction: 'outbound',
    text: 'offload fields that do not fit the packet',
    advice: 'a kernel bug or a crafted packet; try --offload=off and report it',
  },
  outUnderlayMtu: {
    direction: 'outbound',
    text: 'larger than the underlay carries',
    advice: "lower the backend's MTU to the smallest MTU between the nodes",
  },
  outUnderlayFull: {
    direction: 'outbound',
    text: "no room in the socket's send buffer",
    advice:
      'the underlay is slower than the pods; raise net.core.wmem_max or look at the interface',
  },
  outUnderlayRefused: {
    direction: 'outbound',
    text: 'the kernel refused to send',
    advice: 'no route to the peer or a firewall rule in OUTPUT',
  },
  outStandingQueue: {
    direction: 'outbound',
    text: 'one segment of a bulk TCP flow, dropped on purpose so that its queue does not delay others',
    advice:
      'harmless and rare: TCP sends it again; --offload=auto,-aqm for the highest rate at any delay',
  },
  inTruncated: {
    direction: 'inbound',
    text: 'datagram too short for its headers, or cut',
    advice: 'something else talks to this port',
  },
  inBadHeader: {
    direction: 'inbound',
    text: 'VXLAN flags or reserved bits that kernel VXLAN refuses too',
    advice: 'the sender uses another protocol or VXLAN-GBP/GPE',
  },
  inWrongVni: {
    direction: 'inbound',
    text: 'other VXLAN network identifier',
    advice: 'two networks share one port; give them different ports or VNIs',
  },
  inWrongMac: {
    direction: 'inbound',
    text: 'inner Ethernet destination is not this node',
    advice: "the peer holds an old VtepMAC; check that it follows the store's lease",
  },
  inOwnMac: {
    direction: 'inbound',
    text: "inner Ethernet source is this node's own MAC",
    advice: 'two nodes share a MAC (cloned state directory), or a loop in the underlay',
  },
  inNotIp: {
    direction: 'inbound',
    text: 'inner frame is neither IPv4 nor IPv6',
    advice: 'flannel peers never send these',
  },
  inMalformed: {
    direction: 'inbound',
    text: 'broken inner IP header',
    advice: 'crafted or damaged packet',
  },
  inUnknownPeer: {
    direction: 'inbound',
    text: 'sender is not a node of this cluster',
    advice: 'a new node whose lease has not arrived yet, NAT between the nodes, or an intruder',
  },
  inForeignSource: {
    direction: 'inbound',
    text: "inner source is not the sender's: another node's, this host's own, or no unicast address",
    advice: 'spoofing, or pods with addresses of another node; see --source-check',
  },
  inNotOurs: {
    direction: 'inbound',
    text: "inner destination is not in this node's subnet",
    advice: 'the sender has an old table; this node does not relay',
  },
  inOverlayLoop: {
    direction: 'inbound',
    text: 'the outer sender is itself an overlay address',
    advice:
      "a peer's public address is routed through the overlay: check Network against the underlay's addresses",
  },
  inTtl: {
    direction: 'inbound',
    text: 'TTL ended here',
    advice: 'normal for traceroute; otherwise there is a routing loop',
  },
  inEcn: {
    direction: 'inbound',
    text: 'congestion mark on a packet that is not ECN-capable (RFC 6040)',
    advice: 'a router of the underlay marks what it should drop',
  },
  inOversized: {
    direction: 'inbound',
    text: 'larger than the tunnel MTU and not a super-packet',
    advice: 'the sender uses a larger MTU; make the nodes agree',
  },
  inStandingQueue: {
    direction: 'inbound',
    text: 'one segment of a bulk TCP flow, dropped on purpose so that its queue does not delay others',
    advice:
      'harmless and rare: TCP sends it again; --offload=auto,-aqm for the highest rate at any delay',
  },
  inMergerFull: {
    direction: 'inbound',
    text: 'no room in the merger of the fast path',
    advice:
      'harmless while rare: TCP sends it again; the processor that receives has no capacity left',
  },
  inTunRefused: {
    direction: 'inbound',
    text: 'the TUN device refused the packet',
    advice: 'the device is down, or the kernel rejected the headers',
  },
} satisfies Record<string, DropReason>;

export type DropName = keyof typeof reasons;
export const DROP_REASONS: Readonly<Record<DropName, DropReason>> = reasons;
export const DROP_NAMES = Object.keys(reasons) as DropName[];

/** Index of each reason in a worker's drop counters. */
export const DROP = Object.fromEntries(DROP_NAMES.map((name, i) => [name, i])) as Readonly<
  Record<DropName, number>
>;
