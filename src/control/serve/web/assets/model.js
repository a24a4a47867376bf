/**
 * What the pages say, as the views draw it: /peers and /status as src/api describes them (test/unit/control/web-model.test.ts holds
 * them together). Only functions of their arguments; a field that an older daemon lacks is undefined.
 */

/** A peer that spoke this long ago counts as heard. */
const HEARD_MS = 60_000;

/**
 * Peers of both families joined by lease key, with rates from two answers of /api/peers.
 * An answer is {atMs, peers}.
 */
export function joinPeers(answer, before) {
  const nodes = new Map();
  const old = new Map((before?.peers ?? []).map((peer) => [idOf(peer), peer]));
  const seconds = before ? (answer.atMs - before.atMs) / 1000 : 0;
  for (const peer of answer.peers) {
    const node = nodes.get(peer.key) ?? emptyNode(peer.key);
    nodes.set(peer.key, node);
    node.subnets.push(String(peer.subnet));
    node.addresses.push(String(peer.publicIp));
    const last = old.get(idOf(peer));
    node.sent = add(node.sent, rate(peer.sentBytes, last?.sentBytes, seconds));
    node.received = add(node.received, rate(peer.receivedBytes, last?.receivedBytes, seconds));
    node.heardAt = newest(node.heardAt, peer.lastHeardAt);
    node.rttMs = least(node.rttMs, peer.rttMs);
    node.loss = most(node.loss, peer.lossRatio);
    node.isLost ||= peer.reach === 'lost';
  }
  return [...nodes.values()].map((node) => ({ ...node, state: stateOf(node, answer.atMs) }));
}

const idOf = (peer) => `${peer.family} ${peer.key}`;

function emptyNode(key) {
  return {
    key,
    subnets: [],
    addresses: [],
    sent: undefined,
    received: undefined,
    heardAt: undefined,
    rttMs: undefined,
    loss: undefined,
    isLost: false,
  };
}

/** ok, lossy, lost, quiet (nothing heard lately) or unknown (the daemon does not tell). */
function stateOf({ loss, isLost, heardAt }, nowMs) {
  if (isLost) return 'lost';
  if (typeof loss === 'number' && loss < 1) return loss > 0 ? 'lossy' : 'ok';
  const isHeard = typeof heardAt === 'string' && nowMs - Date.parse(heardAt) < HEARD_MS;
  if (heardAt === undefined) return 'unknown';
  return isHeard ? 'ok' : 'quiet';
}

export const STATE_TEXT = {
  ok: 'reachable',
  lossy: 'loses packets',
  lost: 'does not answer',
  quiet: 'silent',
  unknown: 'in the table',
};

/** Bits per second; undefined without two values, 0 after a restart of the daemon. */
function rate(bytes, before, seconds) {
  if (typeof bytes !== 'number' || typeof before !== 'number' || seconds <= 0) return undefined;
  return (Math.max(0, bytes - before) * 8) / seconds;
}

const add = (a, b) => (b === undefined ? a : (a ?? 0) + b);
const least = (a, b) => (typeof b !== 'number' ? (a ?? b) : Math.min(a ?? b, b));
const most = (a, b) => (typeof b !== 'number' ? (a ?? b) : Math.max(a ?? b, b));
const newest = (a, b) =>
  typeof b !== 'string' ? (a ?? b) : typeof a === 'string' && a > b ? a : b;

/** Reasons that have occurred, most frequent first, with what they mean and their rate. An answer is {atMs, status}. */
export function dropRows(answer, before, reasons) {
  const all = allDrops(answer.status);
  const old = before ? allDrops(before.status) : undefined;
  const seconds = before ? (answer.atMs - before.atMs) / 1000 : 0;
  return Object.entries(all)
    .filter(([, number]) => number > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([name, number]) => ({
      name,
      number,
      perSecond: old && seconds > 0 ? Math.max(0, number - (old[name] ?? 0)) / seconds : 0,
      text: reasons[name]?.text ?? name,
      advice: reasons[name]?.advice ?? '',
      direction: reasons[name]?.direction ?? '',
    }));
}

const allDrops = ({ drops }) => ({ ...drops?.outbound, ...drops?.inbound });

/** The page's verdict: one word for colour, one line for people. */
export function verdictOf(status) {
  const warnings = status.health ?? [];
  if (status.notReady) return { state: 'bad', text: `not ready: ${status.notReady}` };
  if (!status.healthy) {
    const worst = warnings.find(({ impactsConnectivity }) => impactsConnectivity);
    if (worst?.severity === 'warning') return { state: 'warn', text: `degraded: ${worst.title}` };
    return { state: 'bad', text: worst ? `not healthy: ${worst.title}` : 'not healthy' };
  }
  if (warnings.length > 0)
    return {
      state: 'warn',
      text: `forwarding, ${warnings.length} warning${warnings.length > 1 ? 's' : ''}`,
    };
  return { state: 'good', text: 'healthy' };
}
