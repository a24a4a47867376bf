/** A dual-stack node that only says what it is: every page has something to tell of it, without root (fake node). */
import { parseNetworkConfig } from '../../src/cluster/network-config.ts';
import { asNew, type Peer } from '../../src/cluster/peers.ts';
import type { BackendFacts, BackendStatus } from '../../src/control/backend/backend.ts';
import type { Node } from '../../src/control/node.ts';
import { Observation } from '../../src/control/observe/observation.ts';
import type { EchoAddon } from '../../src/control/reach/echo.ts';
import { selfNode } from '../../src/control/reach/matrix.ts';
import { Reach } from '../../src/control/reach/reach.ts';
import { COUNTER_BLOCK, sumBlocks } from '../../src/memory/counters.ts';
import { SAMPLE, SAMPLE_WORDS, SAMPLES_NEWEST, sampleAt } from '../../src/memory/drop-samples.ts';
import { DROP_NAMES } from '../../src/memory/drops.ts';
import { ECHO } from '../../src/memory/layout.ts';
import { effectiveOptions } from '../../src/options/effective.ts';
import { parseFlags } from '../../src/options/flags.ts';
import { toSettings } from '../../src/options/settings.ts';
import { type Mac, type Prefix, parseMac, parsePrefix } from '../../src/shared/address.ts';
import { keepLog } from './log-lines.ts';
import { words } from './rig.ts';

export const PEER_KEY = '10.244.2.0-24&fd00:244:0:2::-64';
const START = new Date('2026-01-01T00:00:00.000Z');
const MAC = '02:00:00:00:00:01';

const CONFIG = {
  ...{ Network: '10.244.0.0/16', EnableIPv6: true, IPv6Network: 'fd00:244::/48' },
  Backend: { Type: 'vxlan' },
};

/** Ready, with a lease and a peer, and one dropped packet; `changes` makes it another one. */
export function madeUpNode(changes: Partial<Node> = {}): Node {
  const parsed = parseFlags(
    ['--store=file:/none', '--etcd-username=u', '--etcd-password=geheim'],
    {},
  );
  if (parsed.kind !== 'run') throw new Error('the flags of the made-up node');
  const subnets = { subnet4: prefix('10.244.1.0/24'), subnet6: prefix('fd00:244:0:1::/64') };
  const attributes = { backendType: 'vxlan' };
  const key = '10.244.1.0-24&fd00:244:0:1::-64';
  const peers = [peer(4), peer(6)];
  return {
    settings: toSettings(parsed.values),
    options: effectiveOptions(parsed),
    startedAt: START,
    phase: '',
    waitsFor: '',
    registry: { name: 'file:/none', configPlace: '/none/config' },
    store: { ok: true, message: '', since: START, lastEventAt: START },
    storeCounts: { lists: 1, failures: 0 },
    config: parseNetworkConfig(JSON.stringify(CONFIG)),
    external: {
      ...{ name: 'eth0', mtu: 1500, reason: 'made up' },
      ...{ address4: words('192.0.2.1'), public4: words('192.0.2.1') },
      ...{ address6: words('2001:db8::1'), public6: words('2001:db8::1') },
    },
    lease: {
      lease: {
        ...subnets,
        key,
        attributes,
        isPermanent: false,
        expiresAtMs: Date.now(),
        revision: '1',
      },
      state: 'held',
      renewals: { ok: 1, failed: 0 },
      publish: async () => undefined,
      stop: () => undefined,
    },
    backend: madeUpBackend(peers),
    reach: new Reach({
      addon: answeringAddon(),
      log: keepLog().log,
      self: selfNode(key, [subnets.subnet4, subnets.subnet6], ['192.0.2.1', '2001:db8::1']),
      registry: {},
      sources: { 4: subnets.subnet4.words, 6: subnets.subnet6.words },
      peers: () => peers,
      podMtu: () => 1450,
      probeMs: 0,
      port: 0,
    }),
    peers,
    peerCount: peers.length,
    held: 0,
    skipped: [],
    unreadable: 0,
    twins: [],
    clockAheadMs: undefined,
    problems: {
      table: '',
      routes: '',
      host: '',
      underlay: '',
      shadowed: '',
      firewall: '',
      forwarding: '',
      addressTaken: '',
      addressForeign: '',
      bridge: '',
    },
    firewallKind: 'iptables',
    hardening: { noDump: 'on', noRings: 'on', files: 'on: Landlock 7' },
    whyNotReady: () => '',
    whyNotAlive: () => '',
    ...changes,
  };
}

function prefix(text: string): Prefix {
  const found = parsePrefix(text);
  if (!found) throw new Error(`no prefix: ${text}`);
  return found;
}

function peer(family: 4 | 6): Peer {
  const place =
    family === 4
      ? { subnet: prefix('10.244.2.0/24'), address: words('192.0.2.2') }
      : { subnet: prefix('fd00:244:0:2::/64'), address: words('2001:db8::2') };
  return { key: PEER_KEY, family, ...place, port: 8472, mac: parseMac(MAC) as Mac };
}

function madeUpBackend(peers: readonly Peer[]): BackendFacts {
  const observation = new Observation(1);
  observation.ledger.assign(asNew(peers));
  writeDrop(observation.memoryOf(0).dropSamples);
  const totals = sumBlocks([new Float64Array(COUNTER_BLOCK)]);
  const status: BackendStatus = {
    devices: [
      { device: 'flannel.1', family: 4, mtu: 1450, mac: MAC },
      { device: 'flannel-v6.1', family: 6, mtu: 1430, mac: MAC },
    ],
    offloads: ['batch'],
    shortcuts: [
      {
        name: 'tunnelGso',
        device: 'weft.1',
        egress: [{ device: 'eth0 4', usable: true, why: '' }],
      },
    ],
    workers: [
      {
        ...{ state: 'running', restarts: 0, heartbeat: -7, breaths: 3, waitNs: 5 },
        ...{ capabilities: 'dropped', seccomp: 'on' },
      },
    ],
    table: { generation: 1, publishedAt: START.toISOString() },
    totals,
    pastWorkers: totals,
  };
  return {
    podMtu: () => 1430,
    isForwarding: () => true,
    status: () => status,
    workerTotals: () => [totals],
    observation,
  };
}

/** As a worker writes it: a packet without a readable header from a sender that is no node. */
function writeDrop(memory: SharedArrayBuffer): void {
  const ring = new Int32Array(memory);
  const record = ring.subarray(sampleAt(1), sampleAt(1) + SAMPLE_WORDS);
  record[SAMPLE.reason] = DROP_NAMES.indexOf('inUnknownPeer');
  record[SAMPLE.port] = 4789;
  record.set(words('192.0.2.9'), SAMPLE.address);
  record[SAMPLE.packetBytes] = 60;
  record[SAMPLE.sequence] = 1;
  ring[SAMPLES_NEWEST] = 1;
}

/** Every echo is answered at once. */
function answeringAddon(): EchoAddon {
  const sent: number[][] = [];
  let look = (): void => undefined;
  return {
    watch: (_fds, call) => {
      look = call;
      return 0;
    },
    watchAgain: () => {
      if (sent.length > 0) setImmediate(look);
    },
    unwatch: () => undefined,
    openEcho: () => ({ fd: 1, raw: true }),
    echoSend: (_fd, _token, { sequence, payloadBytes, address }) => {
      const row: number[] = [];
      row[ECHO.sequence] = sequence;
      row[ECHO.errno] = 0;
      row[ECHO.mtu] = 0;
      row[ECHO.ttl] = 64;
      row[ECHO.payloadBytes] = payloadBytes;
      row[ECHO.atNs] = 1_250_000;
      wordsOf(address).forEach((word, i) => {
        row[ECHO.address + i] = word;
      });
      sent.push(row);
      setImmediate(look);
      return 1_000_000;
    },
    echoReceive: (_fd, _token, rows) => {
      const [row] = sent.splice(0, 1);
      if (row) rows.set(row);
      return row ? 1 : 0;
    },
    close: () => undefined,
  };
}

/** IPv4 addresses are mapped, as everywhere. */
function wordsOf(address: Uint8Array): number[] {
  const view = new DataView(address.buffer, address.byteOffset, address.byteLength);
  const found = Array.from({ length: address.byteLength / 4 }, (_, i) => view.getInt32(i * 4));
  return found.length === 1 ? [0, 0, 0xffff, ...found] : found;
}
