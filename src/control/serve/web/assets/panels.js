/** Head, warnings, tiles, peers and drops: from the pages' data to the document. */
import { byId, element, keep, set, write } from './dom.js';
import { ago, bitRate, count, dropRate, milliseconds, span, subnetOf } from './format.js';
import { STATE_TEXT, verdictOf } from './model.js';

const TABLE_MAX = 100;
const DROPS_MAX = 8;

export function showHead(status) {
  const { node, version, uptimeSeconds, backend } = status;
  const addresses = [node?.publicIp, node?.publicIpv6].filter(Boolean).join(', ');
  const up = `up ${span(uptimeSeconds * 1000)}`;
  write(byId('node-name'), addresses);
  write(
    byId('node-about'),
    [node && `on ${node.interface}`, backend, `version ${version}`, up].filter(Boolean).join(' · '),
  );
  const { state, text } = verdictOf(status);
  set(byId('verdict'), { 'data-state': state });
  write(byId('verdict'), text);
  document.title = `${state === 'good' ? '' : '! '}${addresses || 'weft'} · weft`;
}

export function showWarnings(health, nowMs) {
  byId('warnings-section').hidden = health.length === 0;
  keep(
    byId('warnings'),
    health,
    ({ code }) => code,
    () =>
      element(
        'li',
        {},
        element('strong'),
        element('span', { class: 'muted since' }),
        element('p', { class: 'text' }),
        element('p', { class: 'advice' }),
      ),
    (child, { severity, title, text, advice, since }) => {
      const [head, age, what, todo] = child.children;
      set(child, { 'data-severity': severity });
      write(head, `${severity === 'critical' ? 'Critical: ' : ''}${title}`);
      write(age, `since ${span(nowMs - Date.parse(since))}`);
      write(what, text);
      write(todo, `What to do: ${advice}`);
    },
  );
}

function storeNote({ ok, message, lastEventAt, rememberedAt }, nowMs) {
  if (rememberedAt) return `as it was ${ago(rememberedAt, nowMs)}; ${message}`;
  if (!ok) return message;
  return lastEventAt === null ? '' : `changed ${ago(lastEventAt, nowMs)}`;
}

/** {name, value, note, state} for each tile; what the daemon does not tell has none. */
function tiles(status, nowMs) {
  const { lease, store, workers, peers, mtu, devices, firewall, table, fastPath, counters } =
    status;
  const expiry = lease?.expiresAt
    ? `ends in ${span(Date.parse(lease.expiresAt) - nowMs)}`
    : 'reservation';
  const restarts = (workers ?? []).reduce((sum, worker) => sum + worker.restarts, 0);
  const running = (workers ?? []).filter(({ state }) => state === 'running').length;
  const device = (devices ?? []).map((one) => one.device).join(', ');
  return [
    lease
      ? {
          name: 'Lease',
          value: subnetOf(lease.key),
          note: lease.state === 'held' ? expiry : `${lease.state}!`,
          state: lease.state === 'held' ? 'good' : 'bad',
        }
      : { name: 'Lease', value: 'none', note: status.notReady ?? '', state: 'bad' },
    {
      name: 'Store',
      value: store.ok ? 'connected' : store.rememberedAt ? 'away, from memory' : 'away',
      note: storeNote(store, nowMs),
      state: store.ok ? 'good' : 'warn',
    },
    workers && {
      name: 'Workers',
      value: `${running} of ${workers.length} running`,
      note: restarts === 0 ? 'no restarts' : `${restarts} restarts`,
      state: running === workers.length ? 'good' : 'bad',
    },
    fastPath?.on && {
      name: 'Fast path',
      value: `${count(fastPath.peers)} peer${fastPath.peers === 1 ? '' : 's'}`,
      note: `${shareOf(fastPath, counters, 'sentBytes')} of bytes sent, ${shareOf(fastPath, counters, 'deliveredBytes')} of those received`,
      state: 'good',
    },
    {
      name: 'Route table',
      value: `${count(peers.total)} peer${peers.total === 1 ? '' : 's'}`,
      note: peers.held > 0 ? `${peers.held} kept, leases gone` : tableNote(table, nowMs),
      state: peers.held > 0 ? 'warn' : 'good',
    },
    mtu && { name: 'MTU for pods', value: String(mtu), note: device, state: 'good' },
    firewall && {
      name: 'Firewall',
      value: firewall.ok ? 'in place' : 'not in place',
      note: firewall.ok ? `by ${firewall.kind}` : firewall.problem,
      state: firewall.ok ? 'good' : 'bad',
    },
  ].filter(Boolean);
}

/** Of all that a counter counts. */
function shareOf(fastPath, counters, name) {
  const all = counters?.[name] ?? 0;
  return `${all === 0 ? 0 : Math.floor((100 * (fastPath.counters[name] ?? 0)) / all)} %`;
}

function tableNote(table, nowMs) {
  return table?.publishedAt ? `published ${ago(table.publishedAt, nowMs)}` : 'in force';
}

export function showGlance(status, nowMs) {
  keep(
    byId('glance'),
    tiles(status, nowMs),
    ({ name }) => name,
    ({ name }) =>
      element(
        'li',
        {},
        element('span', { class: 'label' }, name),
        element('span', { class: 'value' }),
        element('span', { class: 'note muted' }),
      ),
    (child, { value, note, state }) => {
      set(child, { 'data-state': state });
      write(child.children[1], value);
      write(child.children[2], note);
      set(child.children[2], { title: note });
    },
  );
}

/** Columns of the peers table; one without a single value is left out. */
function columns(nowMs) {
  const optional = (of) => (node) => of(node) ?? undefined;
  return [
    ['Subnet', (node) => node.subnets.join(', ')],
    ['Address', (node) => node.addresses.join(', ')],
    ['State', (node) => STATE_TEXT[node.state]],
    [
      'Round trip',
      optional((node) => (typeof node.rttMs === 'number' ? milliseconds(node.rttMs) : undefined)),
    ],
    ['Sent', optional((node) => (node.sent === undefined ? undefined : bitRate(node.sent)))],
    [
      'Received',
      optional((node) => (node.received === undefined ? undefined : bitRate(node.received))),
    ],
    [
      'Heard',
      optional((node) => (typeof node.heardAt === 'string' ? ago(node.heardAt, nowMs) : undefined)),
    ],
  ];
}

export function showPeers(nodes, nowMs) {
  const table = byId('peers');
  const shown = nodes.slice(0, TABLE_MAX);
  const used = columns(nowMs).filter(([, of]) => shown.some((node) => of(node) !== undefined));
  keep(
    table.tHead,
    shown.length > 0 ? [used.map(([name]) => name)] : [],
    (names) => names.join(),
    headRow,
    () => {},
  );
  keep(
    table.tBodies[0],
    shown,
    (node) => node.key,
    () => element('tr'),
    (row, node) => {
      set(row, { 'data-state': node.state });
      keep(
        row,
        used,
        ([name]) => name,
        ([name]) =>
          element(name === 'Subnet' ? 'th' : 'td', name === 'Subnet' ? { scope: 'row' } : {}),
        (cell, [, of]) => {
          write(cell, of(node) ?? '–');
        },
      );
    },
  );
  const more =
    nodes.length > TABLE_MAX ? `first ${TABLE_MAX} of ${nodes.length}` : `${nodes.length}`;
  write(byId('peers-note'), nodes.length === 0 ? 'none yet' : more);
}

function headRow(names) {
  return element('tr', {}, ...names.map((name) => element('th', { scope: 'col' }, name)));
}

export function showDrops(rows) {
  const total = rows.reduce((sum, { number }) => sum + number, 0);
  const most = Math.max(1, ...rows.map(({ number }) => number));
  write(
    byId('drops-note'),
    total === 0 ? 'no packet was dropped' : `${count(total)} packets since the start`,
  );
  keep(
    byId('drops'),
    rows.slice(0, DROPS_MAX),
    ({ name }) => name,
    createDrop,
    (child, { name, number, perSecond, text, advice, direction }) => {
      const [line, bar, hint] = child.children;
      const [what, amount] = line.children;
      write(what, text);
      set(what, { title: `${name}, ${direction}` });
      write(amount, perSecond > 0 ? `${count(number)} · ${dropRate(perSecond)}` : count(number));
      set(child, { 'data-growing': perSecond > 0 ? '' : null });
      bar.firstElementChild.style.width = `${Math.max(1, (number / most) * 100)}%`;
      write(hint, advice);
    },
  );
}

function createDrop() {
  return element(
    'li',
    {},
    element(
      'p',
      { class: 'line' },
      element('span', { class: 'what' }),
      element('span', { class: 'amount' }),
    ),
    element('div', { class: 'bar', 'aria-hidden': 'true' }, element('i')),
    element('p', { class: 'advice muted' }),
  );
}
