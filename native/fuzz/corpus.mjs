/**
 * Writes the seeds of the fuzz targets into native/build/fuzz/corpus/<target>: the inner packets of the captures in test/golden, as
 * each target reads them (see the fill functions of rows.c and coalesce.c); for the CNI plugin the recorded configs and subnet.envs.
 *   node native/fuzz/corpus.mjs
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const here = import.meta.dirname;
const golden = path.join(here, '../../test/golden');
const corpus = path.join(here, '../build/fuzz/corpus');

const PCAP_HEADER = 24;
const RECORD_HEADER = 16;
const ETHERNET = 14;
const VXLAN = 22;
const VXLAN_PORT = 8472;

function* frames(file) {
  const bytes = readFileSync(path.join(golden, file));
  for (let at = PCAP_HEADER; at < bytes.length; ) {
    const captured = bytes.readUInt32LE(at + 8);
    yield bytes.subarray(at + RECORD_HEADER, at + RECORD_HEADER + captured);
    at += RECORD_HEADER + captured;
  }
}

/** What the overlay carries in a frame of the underlay; nothing of a frame that is no UDP. */
function innerPacket(frame) {
  const isV4 = frame[ETHERNET] >> 4 === 4;
  const udp = ETHERNET + (isV4 ? 20 : 40);
  if (frame[ETHERNET + (isV4 ? 9 : 6)] !== 17) return [];
  const header = frame.readUInt16BE(udp + 2) === VXLAN_PORT ? VXLAN : 0;
  return [frame.subarray(udp + 8 + header)];
}

const word = (number) => [number >> 8, number & 255];

/** A row of tun_in: `repeat` times its bytes, cut into segments of `gsoSize`. */
function row(packet, { flags = 0, choice = 0, header = VXLAN, repeat = 1, gsoSize = 0 } = {}) {
  const times = repeat > 1 ? [repeat - 1] : [];
  const head = [flags | (repeat > 1 ? 0x80 : 0), choice, header, ...times, ...word(gsoSize), 0, 0];
  return Buffer.from([...head, ...word(packet.length), ...packet]);
}

function rowSeeds(packet) {
  const all = Buffer.from([0]);
  const cut = { choice: 1, repeat: 40, gsoSize: 100 };
  return [
    Buffer.concat([all, row(packet)]),
    Buffer.concat([all, row(packet, cut), row(packet, cut)]),
    Buffer.concat([all, row(packet, { ...cut, flags: 1, gsoSize: 1398 }), row(packet), row(packet)]),
    Buffer.concat([all, row(packet, { ...cut, choice: 17 })]),
    Buffer.concat([all, row(packet, { ...cut, flags: 32, header: 128 }), row(packet, { ...cut, header: 128 })]),
    Buffer.concat([all, ...Array(8).fill(row(packet, { choice: 1, repeat: 200, gsoSize: 128 }))]),
  ];
}

/** A packet, then `count` that follow it in its flow. */
function flow(packet, count) {
  return Buffer.from([0, ...word(packet.length), ...packet, ...Array(count).fill(1)]);
}

const SEEDS = {
  packet: (packet) => [packet],
  segment: rowSeeds,
  seal: rowSeeds,
  coalesce: (packet) => [
    Buffer.concat([Buffer.from([0]), flow(packet, 6)]),
    Buffer.concat([Buffer.from([0]), flow(packet, 2), flow(packet, 3)]),
  ],
};

const packets = readdirSync(golden)
  .filter((file) => file.endsWith('.pcap'))
  .sort()
  .flatMap((file) => [...frames(file)].flatMap(innerPacket));

/** A network config and a subnet.env with a zero byte between them. */
function pluginSeeds() {
  const cases = JSON.parse(readFileSync(path.join(golden, 'cni-plugin.json'), 'utf8'));
  return cases.map(({ config, subnetEnv }) => {
    const text = typeof config === 'string' ? config : JSON.stringify(config);
    return Buffer.from(`${text}\0${subnetEnv ?? ''}`);
  });
}

/** What weftd and weft-keeper itself send. */
const MESSAGES = [
  'FDSTORE=1\nFDNAME=tun-4-0\nFDPOLL=0',
  'FDSTOREREMOVE=1\nFDNAME=udp-6-1',
  'READY=1',
  'STATUS=12 peers, etcd ok, 0 drops/s',
  'WEFT_FETCH=1',
  'WEFT_DROP=1',
];

function writeSeeds(target, seeds) {
  const folder = path.join(corpus, target);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  seeds.forEach((seed, i) => {
    writeFileSync(path.join(folder, String(i).padStart(4, '0')), seed);
  });
}

for (const [target, seedsOf] of Object.entries(SEEDS)) writeSeeds(target, packets.flatMap(seedsOf));
writeSeeds('cni', pluginSeeds());
writeSeeds('keeper', MESSAGES.map((text) => Buffer.from(text)));
console.log(`native/build/fuzz/corpus: seeds of ${packets.length} packets`);
