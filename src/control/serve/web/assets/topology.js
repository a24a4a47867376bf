/** This node in the middle, its peers around it; above RING_MAX nodes a grid of squares. */
import { element, keep, set, shape, write } from './dom.js';
import { ago, bitRate, milliseconds } from './format.js';
import { STATE_TEXT } from './model.js';

const RING_MAX = 40;
/** Up to here one ring with two lines of text at each node. */
const ONE_RING_MAX = 12;
const GRID_MAX = 2_000;
const WIDTH = 720;
const HEIGHT = 470;
const CENTRE = { x: WIDTH / 2, y: HEIGHT / 2 };

/** Everything about one peer in one line; also its accessible name. */
export function describe(node, nowMs) {
  const parts = [
    `${node.subnets.join(', ')} at ${node.addresses.join(', ')}`,
    STATE_TEXT[node.state],
    typeof node.rttMs === 'number' ? `round trip ${milliseconds(node.rttMs)}` : undefined,
    typeof node.loss === 'number' && node.loss > 0
      ? `${Math.round(node.loss * 100)} % lost`
      : undefined,
    node.sent === undefined ? undefined : `sending ${bitRate(node.sent)}`,
    node.received === undefined ? undefined : `receiving ${bitRate(node.received)}`,
    typeof node.heardAt === 'string' ? `heard ${ago(node.heardAt, nowMs)}` : undefined,
  ];
  return parts.filter((part) => part !== undefined).join(' · ');
}

/** Returns update(nodes, self, nowMs); self is {name, detail, state}. */
export function createTopology(host, tip) {
  const layers = { lines: shape('g'), nodes: shape('g') };
  const middle = createMiddle();
  const ring = shape(
    'svg',
    {
      class: 'ring',
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: 'group',
      'aria-label': 'This node and its peers',
    },
    layers.lines,
    layers.nodes,
    middle,
  );
  const grid = element('ul', { class: 'grid', 'aria-label': 'Peers' });
  const empty = element(
    'p',
    { class: 'empty muted' },
    'No other node yet: peers appear when they take a lease.',
  );
  host.append(ring, grid, empty);
  followPointer(host, tip);
  return (nodes, self, nowMs) => {
    const isRing = nodes.length <= RING_MAX;
    ring.toggleAttribute('hidden', !isRing);
    grid.hidden = isRing;
    empty.hidden = nodes.length > 0;
    if (isRing) drawRing(layers, middle, nodes, self, nowMs);
    else drawGrid(grid, nodes, nowMs);
  };
}

function createMiddle() {
  return shape(
    'g',
    { class: 'self', transform: `translate(${CENTRE.x} ${CENTRE.y})` },
    shape('rect', { x: -84, y: -31, width: 168, height: 62, rx: 16 }),
    shape('text', { class: 'name', y: -3 }),
    shape('text', { class: 'detail', y: 16 }),
  );
}

function drawRing({ lines, nodes: group }, middle, nodes, self, nowMs) {
  const placed = nodes.map((node, i) => ({ node, ...placeOf(i, nodes.length) }));
  const isDense = nodes.length > ONE_RING_MAX;
  set(middle, { 'data-state': self.state });
  write(middle.querySelector('.name'), self.name);
  write(middle.querySelector('.detail'), self.detail);
  keep(lines, placed, ({ node }) => node.key, createLink, updateLink);
  keep(
    group,
    placed,
    ({ node }) => node.key,
    createPeer,
    (child, { node, x, y }) => {
      set(child, {
        transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
        'data-state': node.state,
        'data-tip': describe(node, nowMs),
        'aria-label': describe(node, nowMs),
        class: isDense ? 'peer dense' : 'peer',
      });
      const isAbove = !isDense && y < CENTRE.y - 40;
      set(child.querySelector('.name'), { y: isAbove ? -38 : 33 });
      set(child.querySelector('.detail'), { y: isAbove ? -23 : 48 });
      write(child.querySelector('.name'), node.subnets[0]);
      const rtt = typeof node.rttMs === 'number' ? milliseconds(node.rttMs) : '';
      write(child.querySelector('.detail'), isDense ? '' : rtt || node.addresses[0]);
    },
  );
}

/** One ellipse, or two with the nodes in turns. */
function placeOf(i, count) {
  const angle = -Math.PI / 2 + ((i + (count === 2 || count === 4 ? 0.5 : 0)) / count) * 2 * Math.PI;
  const isInner = count > ONE_RING_MAX && i % 2 === 1;
  const [rx, ry] = isInner ? [185, 112] : count > ONE_RING_MAX ? [310, 195] : [295, 180];
  return { x: CENTRE.x + rx * Math.cos(angle), y: CENTRE.y + ry * Math.sin(angle) };
}

function createLink() {
  return shape(
    'g',
    { class: 'link' },
    shape('path', { class: 'way' }),
    shape('path', { class: 'flow', 'data-tone': 'sent' }),
    shape('path', { class: 'flow', 'data-tone': 'received' }),
  );
}

/** Two arcs, one for each direction; width and pace tell the rate. */
function updateLink(child, { node, x, y }) {
  const [way, sent, received] = child.children;
  set(child, { 'data-state': node.state });
  set(way, { d: `M${CENTRE.x} ${CENTRE.y}L${x.toFixed(1)} ${y.toFixed(1)}` });
  updateFlow(sent, CENTRE, { x, y }, node.sent);
  updateFlow(received, { x, y }, CENTRE, node.received);
}

function updateFlow(path, from, to, bits) {
  const isMoving = bits !== undefined && bits >= 1;
  path.toggleAttribute('hidden', !isMoving);
  if (!isMoving) return;
  // 1 kbit/s is 0, 10 Gbit/s is 1.
  const share = Math.min(1, Math.max(0, (Math.log10(bits) - 3) / 7));
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy);
  const bow = 5 + share * 5;
  const control = {
    x: (from.x + to.x) / 2 - (dy / length) * bow * 2,
    y: (from.y + to.y) / 2 + (dx / length) * bow * 2,
  };
  const n = (value) => value.toFixed(1);
  set(path, {
    d: `M${n(from.x)} ${n(from.y)}Q${n(control.x)} ${n(control.y)} ${n(to.x)} ${n(to.y)}`,
    'stroke-width': (1.5 + share * 5).toFixed(1),
    'data-pace': Math.ceil(share * 3),
  });
}

function createPeer() {
  return shape(
    'g',
    { tabindex: 0, role: 'img' },
    shape('circle', { class: 'hit', r: 34 }),
    shape('circle', { class: 'halo', r: 15 }),
    shape('circle', { class: 'core', r: 8 }),
    shape('text', { class: 'name', y: 33 }),
    shape('text', { class: 'detail', y: 48 }),
  );
}

function drawGrid(grid, nodes, nowMs) {
  keep(
    grid,
    nodes.slice(0, GRID_MAX),
    (node) => node.key,
    () => element('li', { role: 'img' }),
    (child, node) => {
      const text = describe(node, nowMs);
      const busy = (node.sent ?? 0) + (node.received ?? 0) >= 1000;
      set(child, {
        'data-state': node.state,
        'data-tip': text,
        'aria-label': text,
        'data-busy': busy ? '' : null,
      });
    },
  );
}

/** The tip repeats the accessible name of what the pointer or the focus is on. */
function followPointer(host, tip) {
  const show = (event) => {
    const marked = event.target.closest?.('[data-tip]');
    tip.hidden = !marked;
    if (!marked) return;
    tip.replaceChildren(
      ...marked.dataset.tip.split(' · ').map((line) => element('span', {}, line)),
    );
    const box = marked.getBoundingClientRect();
    const left = Math.min(
      innerWidth - tip.offsetWidth - 8,
      Math.max(8, box.left + box.width / 2 - tip.offsetWidth / 2),
    );
    const above = box.top - tip.offsetHeight - 8;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${(above > 8 ? above : box.bottom + 8) + scrollY}px`;
  };
  const hide = () => {
    tip.hidden = true;
  };
  host.addEventListener('pointerover', show);
  host.addEventListener('focusin', show);
  host.addEventListener('pointerleave', hide);
  host.addEventListener('focusout', hide);
  addEventListener('keydown', (event) => event.key === 'Escape' && hide());
}
