/** Asks the daemon once a second and draws what it says; goes easy when nobody looks and waits for a daemon that is away. */
import { createChart } from './chart.js';
import { byId, write } from './dom.js';
import { bitRate, clock, dropRate, packetRate, subnetOf } from './format.js';
import { dropRows, joinPeers, verdictOf } from './model.js';
import { showDrops, showGlance, showHead, showPeers, showWarnings } from './panels.js';
import { createTopology } from './topology.js';

const POLL_MS = 1_000;
const HIDDEN_POLL_MS = 20_000;
const RETRY_MS_MAX = 4_000;
const TIMEOUT_MS = 4_000;
/** With more peers than this their list is asked for only now and then: it is large. */
const MANY_PEERS = 500;
const MANY_PEERS_POLL_MS = 10_000;

const charts = [
  createChart(byId('chart-bits'), {
    title: 'Throughput',
    height: 148,
    floor: 10_000,
    format: bitRate,
    series: [
      { name: 'sent', label: 'sent', tone: 'sent', of: (sample) => sample.sentBytes * 8 },
      {
        name: 'received',
        label: 'received',
        tone: 'received',
        of: (sample) => sample.receivedBytes * 8,
      },
    ],
  }),
  createChart(byId('chart-packets'), {
    title: 'Packets',
    height: 132,
    floor: 10,
    format: packetRate,
    series: [
      { name: 'sent', label: 'sent', tone: 'sent', of: (sample) => sample.sentPackets },
      {
        name: 'received',
        label: 'received',
        tone: 'received',
        of: (sample) => sample.receivedPackets,
      },
    ],
  }),
  createChart(byId('chart-drops'), {
    title: 'Drops',
    height: 96,
    floor: 4,
    format: dropRate,
    series: [
      {
        name: 'dropped',
        label: 'all reasons',
        tone: 'dropped',
        of: (sample) => sample.droppedPackets,
      },
    ],
  }),
];
const drawTopology = createTopology(byId('topology'), byId('tip'));

/** What earlier answers left: rates need two of them. */
const seen = { status: undefined, peers: undefined, nodes: [], reasons: {} };
let awaySince;
let failures = 0;
let timer;
let isAsking = false;

/** A page's JSON; undefined when this daemon does not have the page. Throws when it does not answer. */
async function ask(page) {
  const answer = await fetch(`/api/${page}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (answer.status === 404) return undefined;
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}

async function look() {
  const nowMs = Date.now();
  const isDue = seen.nodes.length <= MANY_PEERS || nowMs - seen.peers.atMs >= MANY_PEERS_POLL_MS;
  const [status, history, peers] = await Promise.all([
    ask('status'),
    ask('history'),
    isDue ? ask('peers') : undefined,
  ]);
  if (Object.keys(seen.reasons).length === 0) seen.reasons = (await ask('reasons'))?.reasons ?? {};
  const now = { atMs: Date.now(), status };
  // A new process counts from 0.
  if (seen.status?.status.startedAt !== status.startedAt) forget();
  if (peers) takePeers({ atMs: now.atMs, peers: peers.peers });
  draw(now, history);
  seen.status = now;
}

function forget() {
  seen.status = undefined;
  seen.peers = undefined;
}

function takePeers(answer) {
  seen.nodes = joinPeers(answer, seen.peers);
  seen.peers = answer;
}

function draw(now, history) {
  const { status, atMs } = now;
  showHead(status);
  showWarnings(status.health ?? [], atMs);
  showGlance(status, atMs);
  document.querySelector('.charts').hidden = history === undefined;
  for (const update of history ? charts : []) update(history.samples);
  const name = status.lease ? subnetOf(status.lease.key).split(', ')[0] : 'no lease yet';
  drawTopology(seen.nodes, { name, detail: 'this node', state: verdictOf(status).state }, atMs);
  const reachable = seen.nodes.filter(({ state }) => state === 'ok' || state === 'lossy').length;
  const isKnown = seen.nodes.some(({ state }) => state !== 'unknown');
  write(
    byId('topology-note'),
    isKnown ? `${reachable} of ${seen.nodes.length} peers reachable` : '',
  );
  showPeers(seen.nodes, atMs);
  showDrops(dropRows(now, seen.status, seen.reasons));
  write(byId('updated'), `Updated ${clock(new Date(atMs))}`);
}

function showAway(error) {
  awaySince ??= new Date();
  const said =
    error instanceof TypeError || error.name === 'TimeoutError' ? '' : ` (${error.message})`;
  const since = `The daemon does not answer since ${clock(awaySince)}${said}.`;
  write(byId('away'), `${since} What you see is older; asking again …`);
  byId('away').hidden = false;
  byId('verdict').dataset.state = 'unknown';
  write(byId('verdict'), 'daemon does not answer');
  document.body.classList.add('stale');
}

function showBack() {
  awaySince = undefined;
  byId('away').hidden = true;
  document.body.classList.remove('stale');
}

async function turn() {
  isAsking = true;
  try {
    await look();
    failures = 0;
    showBack();
  } catch (error) {
    failures++;
    showAway(error);
  }
  isAsking = false;
  const waitMs = failures === 0 ? POLL_MS : Math.min(RETRY_MS_MAX, POLL_MS * failures);
  timer = setTimeout(turn, document.hidden ? HIDDEN_POLL_MS : waitMs);
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden || isAsking) return;
  clearTimeout(timer);
  timer = setTimeout(turn, 0);
});
void turn();
