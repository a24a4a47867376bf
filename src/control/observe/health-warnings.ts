/**
 * What is wrong with this node, in words that tell what to do: a pure function of what the daemon knows. Codes are stable.
 * {@link WarningBoard} shows a warning only when it has lasted: a blip is no news.
 */
import type { HealthWarning as LastingWarning } from '../../api/health.ts';
import { DROP_REASONS, type DropName } from '../../memory/drops.ts';

export type HealthWarning = Omit<LastingWarning, 'since'>;

/** What the daemon knows cheaply; texts are '' where all is well. */
export interface HealthFacts {
  nowMs: number;
  /** what the start waits for */
  phase: string;
  store: {
    name: string;
    ok: boolean;
    message: string;
    /** what is in force is only remembered: when the store said it, ms since the epoch */
    rememberedAtMs?: number;
  };
  lease: { key: string; state: string; expiresAtMs?: number; marginMs: number } | undefined;
  workers: readonly { state: string; restarts: number }[];
  heldPeers: number;
  /** what the background echoes say; undefined where none are sent */
  reach: { peers: number; silent: readonly SilentFact[] } | undefined;
  skippedLeases: readonly { key: string; why: string }[];
  /** how many keys have no lease in them that can be read */
  unreadableLeases: number;
  /** keys of other leases that have our own public address */
  twins: readonly string[];
  /** how far the clock by which leases end is ahead of ours, ms */
  clockAheadMs: number | undefined;
  firewallProblem: string;
  /** settings by which the kernel does not forward */
  forwardingProblem: string;
  /** the newest list of nodes that could not be put in force */
  tableProblem: string;
  routesProblem: string;
  /** what upkeep of devices and the underlay ran into */
  hostProblem: string;
  /** another interface would be the underlay now */
  underlayMoved: string;
  /** which of other nodes' addresses this host has */
  addressTaken: string;
  /** which addresses others gave to our devices */
  addressForeign: string;
  /** the pods' bridge that is another subnet's */
  bridgeStale: string;
  /** which peers' packets somebody else's routes take */
  shadowed: string;
  /** the largest encapsulated packet that the config asks for, and what the underlay's interface takes, bytes */
  mtu: { outer: number; underlay: number } | undefined;
  /** of the last minute */
  recent: {
    drops: Readonly<Record<string, number>>;
    socketDrops: number;
    restarts: number;
    sentPackets: number;
  };
}

/** A peer that does not answer. */
export interface SilentFact {
  name: string;
  /** for so long; of one that has never answered, since it was learned of */
  silentMs: number;
  hasAnswered: boolean;
  /** packets of it arrive */
  isHeard: boolean;
}

type Found = HealthWarning | undefined;

/** A packet of such a kind each second is no accident. */
const DROPS_PER_MINUTE = 60;
/** Share of the sent packets that a full queue may cost before it is told. */
const QUEUE_FULL_SHARE = 0.001;
/** A renewal is tried every minute; this long without success is news. */
const OVERDUE_MS = 300_000;
/** A clock that is off by less is no news. */
const SKEW_MS = 60_000;
/** How many of a list a text names. */
const NAMED_MAX = 3;

/** Besides all that is critical. Drops are not among them: a stranger's packets must not break a verdict. */
const BREAKING: ReadonlySet<string> = new Set(['peers-unreachable', 'leases-skipped']);

/** Whether pods of this node can't reach pods of all peers because of it. */
export function breaksVerdict({
  severity,
  code,
}: Pick<HealthWarning, 'severity' | 'code'>): boolean {
  return severity === 'critical' || BREAKING.has(code);
}

/** Everything that is amiss, the most important first. */
export function warningsOf(facts: HealthFacts): HealthWarning[] {
  const all = [
    ...leaseWarnings(facts),
    ...workerWarnings(facts),
    ...hostWarnings(facts),
    reachWarning(facts),
    ...storeWarnings(facts),
    ...dropWarnings(facts),
  ];
  const rank = (warning: HealthWarning): number =>
    warning.severity === 'critical' ? 0 : breaksVerdict(warning) ? 1 : 2;
  return all.flatMap((found) => found ?? []).sort((a, b) => rank(a) - rank(b));
}

function leaseWarnings({ lease, nowMs, twins }: HealthFacts): Found[] {
  if (!lease) return [];
  const { key, state, expiresAtMs, marginMs } = lease;
  const leftMs = expiresAtMs === undefined ? Number.POSITIVE_INFINITY : expiresAtMs - nowMs;
  const minutes = Math.max(0, Math.round(leftMs / 60_000));
  const isOverdue = marginMs - leftMs > Math.min(OVERDUE_MS, marginMs / 2);
  return [
    twins.length > 0
      ? critical(
          'address-taken',
          'Another lease has our public address',
          `${some(twins)}: its node is not a peer, because packets to it would come back to this node`,
          'give each node its own --public-ip; if no such node exists, delete the key from the store',
        )
      : undefined,
    state === 'taken'
      ? critical(
          'lease-taken',
          'Another node uses our subnet',
          `the lease ${key} has another node's value, or its addresses are leased twice`,
          'give each node its own --public-ip and state folder, then restart weftd on one of them',
        )
      : undefined,
    state === 'lost'
      ? warning(
          'lease-lost',
          'Our lease is gone from the store',
          `${key} is being put back`,
          'if it does not come back: look at who deletes keys, and whether the store lets this node write',
        )
      : undefined,
    leftMs <= 0
      ? critical(
          'lease-expired',
          'Our lease has ended',
          `${key} was not renewed in time; another node may take the subnet`,
          'let this node write to the store; see the log for what it refused',
        )
      : undefined,
    leftMs > 0 && isOverdue
      ? warning(
          'lease-expiring',
          'Our lease is not being renewed',
          `${key} ends in ${minutes} min`,
          'let this node write to the store; see the log for what it refused',
        )
      : undefined,
  ];
}

function workerWarnings({ workers, recent }: HealthFacts): Found[] {
  const inState = (state: string): number[] =>
    workers.flatMap((w, i) => (w.state === state ? [i] : []));
  const [stuck, away] = [inState('stuck'), inState('restarting')];
  return [
    stuck.length > 0
      ? critical(
          'worker-stuck',
          'A worker is stuck',
          `worker ${stuck.join(', ')} gives no heartbeat`,
          'it is replaced after 10 s, or weftd ends and is started again; send "weft bugreport" with what the node was doing',
        )
      : undefined,
    away.length > 0
      ? critical(
          'worker-away',
          'A worker does not run',
          `worker ${away.join(', ')} is being started again`,
          'see the log for why it stopped',
        )
      : undefined,
    recent.restarts > 0
      ? warning(
          'worker-restarts',
          'A worker was restarted',
          `${recent.restarts} restarts in the last minute; packets were lost each time`,
          'see the log for why it stopped; send "weft bugreport" when it goes on',
        )
      : undefined,
  ];
}

function hostWarnings(facts: HealthFacts): Found[] {
  const { phase, firewallProblem, routesProblem, hostProblem, underlayMoved, shadowed, mtu } =
    facts;
  const { forwardingProblem } = facts;
  return [
    forwardingProblem !== ''
      ? critical(
          'forwarding-off',
          'IP forwarding is off',
          `${forwardingProblem}: the kernel passes no packet between pods and the overlay`,
          `sysctl -w ${forwardingProblem.replaceAll('=0', '=1').replaceAll(',', '')}, and the same in /etc/sysctl.d/`,
        )
      : undefined,
    phase !== ''
      ? critical(
          'not-started',
          'Not forwarding yet',
          phase,
          'see the log; "weft doctor" looks at the host',
        )
      : undefined,
    firewallProblem !== ''
      ? critical(
          'firewall-missing',
          'Firewall rules are not in place',
          firewallProblem,
          'install iptables or nft if neither is there; weft doctor looks at what drops',
        )
      : undefined,
    routesProblem !== ''
      ? critical(
          'routes-refused',
          'Routes are not in place',
          routesProblem,
          'compare with "ip route show proto 86" and remove what stands in the way',
        )
      : undefined,
    hostProblem !== ''
      ? critical(
          'host-not-repaired',
          'Host configuration could not be repaired',
          hostProblem,
          'bring the interface or its address back, or choose another with --iface',
        )
      : undefined,
    underlayMoved !== ''
      ? warning(
          'underlay-moved',
          'Another interface would be the underlay',
          underlayMoved,
          'restart weftd to move, or fix the choice with --iface',
        )
      : undefined,
    ...addressWarnings(facts),
    shadowed !== ''
      ? critical(
          'route-shadowed',
          "Somebody else's route takes packets to a node",
          shadowed,
          'remove the route or its device, if nobody needs it; else give the cluster another Network',
        )
      : undefined,
    mtu && mtu.outer > mtu.underlay
      ? critical(
          'mtu-mismatch',
          'Pod packets are too large for the underlay',
          `encapsulated they take up to ${mtu.outer} bytes, the interface carries ${mtu.underlay}`,
          `set Backend.MTU in the network config to ${mtu.underlay} or less`,
        )
      : undefined,
  ];
}

function addressWarnings({ addressTaken, addressForeign, bridgeStale }: HealthFacts): Found[] {
  return [
    bridgeStale !== ''
      ? warning(
          'bridge-stale',
          "The pods' bridge is of another subnet",
          `${bridgeStale}: the CNI plugin refuses every new pod`,
          'delete the pods that are on it (kubectl drain NODE); weftd removes the bridge as soon as it is empty',
        )
      : undefined,
    addressTaken !== ''
      ? critical(
          'overlay-address-taken',
          "This host has another node's addresses",
          `${addressTaken}: packets for that node stay here`,
          'if nobody needs the address, remove it (ip addr del ADDRESS dev DEVICE), or its device (ip link delete DEVICE)',
        )
      : undefined,
    addressForeign !== ''
      ? warning(
          'foreign-address',
          "Somebody gave an address to the overlay's device",
          addressForeign,
          'keep the network manager off the devices of weft (docs/operations/install.md, "Network managers"), then: ip addr del ADDRESS dev DEVICE',
        )
      : undefined,
  ];
}

function reachWarning({ reach }: HealthFacts): Found {
  if (!reach || reach.silent.length === 0) return undefined;
  const { peers, silent } = reach;
  const title = `${silent.length} of ${peers} peers unreachable`;
  const text = some(silent.map(silenceOf));
  const isHeard = silent.some((peer) => peer.isHeard);
  const advice = isHeard
    ? 'packets come from it but no echo comes back: look for a firewall that drops one direction of the UDP port, or ICMP from the overlay'
    : '"weft ping --all" shows who reaches whom, "weft doctor" looks for the cause; a node that is gone for good is a peer until its lease ends';
  return silent.length === peers
    ? critical('peers-unreachable', title, text, advice)
    : { ...warning('peers-unreachable', title, text, advice), impactsConnectivity: true };
}

function silenceOf({ name, silentMs, hasAnswered, isHeard }: SilentFact): string {
  const text = hasAnswered ? `has not answered for ${duration(silentMs)}` : 'has never answered';
  return `${name} ${text}${isHeard ? ', though packets come from it' : ''}`;
}

function some(texts: readonly string[]): string {
  const rest = texts.length - NAMED_MAX;
  return `${texts.slice(0, NAMED_MAX).join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`;
}

function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}

function clockWarning({ clockAheadMs, lease }: HealthFacts): Found {
  const offMs = Math.abs(clockAheadMs ?? 0);
  if (offMs < SKEW_MS) return undefined;
  const words = [
    'clock-skew',
    'The clock of this node is off',
    `${duration(offMs)} ${(clockAheadMs ?? 0) > 0 ? 'behind' : 'ahead of'} the clock by which leases end`,
    'let the nodes keep the time by NTP: timedatectl set-ntp true',
  ] as const;
  // From here on a lease seems to have ended before it is renewed.
  return offMs < (lease?.marginMs ?? Number.POSITIVE_INFINITY)
    ? warning(...words)
    : critical(...words);
}

function storeWarnings(facts: HealthFacts): Found[] {
  const { store, heldPeers, tableProblem, skippedLeases, unreadableLeases } = facts;
  const skipped = skippedLeases.length;
  return [
    skipped > 0
      ? {
          ...warning(
            'leases-skipped',
            `${skipped} lease${skipped > 1 ? 's' : ''} can't be used`,
            some(skippedLeases.map(({ key, why }) => `${key}: ${why}`)),
            'all nodes need one network config; "weft doctor" compares the leases',
          ),
          impactsConnectivity: true,
        }
      : undefined,
    unreadableLeases > 0
      ? warning(
          'leases-unreadable',
          'Some keys among the leases are not leases',
          `${unreadableLeases} key${unreadableLeases > 1 ? 's' : ''} can't be read`,
          '"weft doctor" names them; delete them from the store',
        )
      : undefined,
    clockWarning(facts),
    memoryWarning(facts),
    store.ok
      ? undefined
      : warning(
          'store-away',
          'The store has not answered',
          `${store.name}: ${store.message}; ${facts.phase === '' ? 'forwarding goes on with the last table' : 'this node waits for it'}`,
          'check the store and the network path to it; until it is back new nodes are not seen and the lease is not renewed',
        ),
    tableProblem !== ''
      ? critical(
          'table-stale',
          'The newest list of nodes is not in force',
          tableProblem,
          'see the log; "weft peers" shows what is in force',
        )
      : undefined,
    heldPeers > 0
      ? warning(
          'peers-held',
          'Peers are in use without leases',
          `${heldPeers} kept although their leases disappeared, for up to ten minutes`,
          'if the nodes are really gone there is nothing to do; otherwise see who emptied the store',
        )
      : undefined,
  ];
}

function memoryWarning({ store, lease, nowMs }: HealthFacts): Found {
  const { rememberedAtMs } = store;
  if (rememberedAtMs === undefined) return undefined;
  const minutes = Math.max(0, Math.floor((nowMs - rememberedAtMs) / 60_000));
  const until =
    lease?.expiresAtMs === undefined
      ? ''
      : `, until its lease ends at ${new Date(lease.expiresAtMs).toISOString()}`;
  return warning(
    'from-memory',
    'This node forwards from memory',
    `the store has not answered since the start; what it said ${minutes} min ago is in force${until}`,
    'bring the store back before then; a node that changed meanwhile shows as unreachable',
  );
}

/** Reasons that tell of a fault somewhere else, and what they mean for the node. */
const DROP_WARNINGS: readonly [code: string, title: string, impacts: boolean, names: DropName[]][] =
  [
    ['drops-spoofed', 'Packets with foreign source addresses', false, ['inForeignSource']],
    ['drops-unknown-peer', 'Packets from senders that are not nodes', true, ['inUnknownPeer']],
    ['drops-stale-peer', 'A peer uses old data of this node', true, ['inWrongMac', 'inNotOurs']],
    ['drops-mtu', 'Packets larger than the path carries', true, ['outUnderlayMtu', 'inOversized']],
    ['drops-refused', 'The kernel refuses packets', true, ['outUnderlayRefused', 'inTunRefused']],
  ];

function dropWarnings({ recent }: HealthFacts): Found[] {
  const count = (name: DropName): number => recent.drops[name] ?? 0;
  const told = DROP_WARNINGS.map(([code, title, impactsConnectivity, names]): Found => {
    const [most] = [...names].sort((a, b) => count(b) - count(a)) as [DropName];
    const total = names.reduce((sum, name) => sum + count(name), 0);
    if (total < DROPS_PER_MINUTE) return undefined;
    const text = `${total} in the last minute: ${DROP_REASONS[most].text}`;
    return { ...warning(code, title, text, DROP_REASONS[most].advice), impactsConnectivity };
  });
  const full = count('outUnderlayFull');
  const isFull = full >= DROPS_PER_MINUTE && full > recent.sentPackets * QUEUE_FULL_SHARE;
  return [
    ...told,
    isFull
      ? warning(
          'drops-queue-full',
          'The underlay is slower than the pods',
          `${full} packets in the last minute`,
          DROP_REASONS.outUnderlayFull.advice,
        )
      : undefined,
    recent.socketDrops >= DROPS_PER_MINUTE
      ? warning(
          'socket-drops',
          'The receive buffer overflows',
          `the kernel dropped ${recent.socketDrops} datagrams in the last minute before weftd could read them`,
          'raise net.core.rmem_max and restart weftd, or give it more --workers',
        )
      : undefined,
  ];
}

function warning(code: string, title: string, text: string, advice: string): HealthWarning {
  return { code, severity: 'warning', title, text, advice, impactsConnectivity: false };
}

function critical(code: string, title: string, text: string, advice: string): HealthWarning {
  return { code, severity: 'critical', title, text, advice, impactsConnectivity: true };
}

/** How long a warning must last before it is shown, ms; 0 where not named. */
const VISIBLE_AFTER_MS: Readonly<Record<string, number>> = {
  'not-started': 10_000,
  'store-away': 5_000,
  'lease-lost': 10_000,
  'worker-away': 2_000,
  'firewall-missing': 10_000,
  'forwarding-off': 10_000,
  'address-taken': 10_000,
  'leases-skipped': 10_000,
  'leases-unreadable': 10_000,
  'peers-unreachable': 5_000,
  'routes-refused': 10_000,
  'host-not-repaired': 10_000,
  'underlay-moved': 10_000,
  'overlay-address-taken': 2_000,
  'foreign-address': 2_000,
  'bridge-stale': 10_000,
  'route-shadowed': 5_000,
  'table-stale': 10_000,
  'peers-held': 5_000,
};

/** When something began: by a clock that nobody sets, and for people. */
interface Moment {
  monotonicMs: number;
  /** ms since the epoch */
  nowMs: number;
}

/** Remembers since when each warning holds. */
export class WarningBoard {
  private readonly since = new Map<string, Moment>();
  private current: readonly HealthWarning[] = [];
  private lookedAt: Moment = { monotonicMs: 0, nowMs: 0 };

  /** What is amiss now; codes that are missing are over. */
  update(warnings: readonly HealthWarning[], now: Moment): void {
    const codes = new Set(warnings.map(({ code }) => code));
    for (const code of this.since.keys()) if (!codes.has(code)) this.since.delete(code);
    for (const code of codes) if (!this.since.has(code)) this.since.set(code, now);
    this.current = warnings;
    this.lookedAt = now;
  }

  /** Those that have lasted, with `since` as text. */
  visible(): LastingWarning[] {
    return this.current.flatMap((warning) => {
      const since = this.since.get(warning.code) ?? this.lookedAt;
      const ageMs = this.lookedAt.monotonicMs - since.monotonicMs;
      const isOld = ageMs >= (VISIBLE_AFTER_MS[warning.code] ?? 0);
      return isOld ? [{ ...warning, since: new Date(since.nowMs).toISOString() }] : [];
    });
  }
}
