/** Pods that forge what nodes send to each other: nothing of it arrives, and all else of theirs passes. Real daemons, both firewall kinds. */
import assert from 'node:assert/strict';
import { type BackendType, Lab } from '../../lab/lab.ts';
import type { Namespace } from '../../lab/namespace.ts';
import { addressInSubnet } from '../../lab/node.ts';
import type { LabProcess } from '../../lab/process.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import type { Flavour } from '../../src/host/firewall/wishes.ts';
import { parseMac } from '../../src/shared/address.ts';
import { needs } from '../support/needs.ts';
import { statusOf } from '../support/node-status.ts';
import { udpPacket } from '../support/packets.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const WEFT = { kind: 'weft' } as const;
const COUNT = 5;
const POD_PORT = 7777;
const REACH_PORT = 8474;
const FLAGS = ['--ip-masq'];
/** An address that is nobody's in the lab, as inner source. */
const STRANGER = { 4: '198.51.100.7', 6: '2001:db8:ffff::7' } as const;
/** A machine that uses the node as its router. */
const ROUTED = '192.0.2.2';
const SERVICE = '10.96.0.1';

interface Case {
  flavour: Flavour;
  backend: BackendType;
  families: readonly (4 | 6)[];
  port: number;
  backendOptions?: object;
}

const CASES: Case[] = [
  { flavour: 'iptables', backend: 'vxlan', families: [4, 6], port: 8472 },
  {
    ...{ flavour: 'nftables', backend: 'vxlan', families: [4, 6] },
    ...{ port: 4789, backendOptions: { Port: 4789 } },
  },
  {
    ...{ flavour: 'nftables', backend: 'udp', families: [4] },
    ...{ port: 9285, backendOptions: { Port: 9285 } },
  },
];

/** Prints "<text> from <address>" for each datagram. */
const SINK = `const [family, port] = process.argv.slice(1);
  const s = require('node:dgram').createSocket('udp' + family);
  s.on('message', (m, r) => console.log(m.toString('latin1').replace(/[^a-z]/g, '') + ' from ' + r.address));
  s.bind(Number(port), () => console.log('listening'));`;
const SOURCE = `const [address, port, hex, count, local] = process.argv.slice(1);
  const s = require('node:dgram').createSocket(address.includes(':') ? 'udp6' : 'udp4');
  s.bind(0, local || undefined, async () => {
    for (let i = 0; i < Number(count); i++) await new Promise((r) => s.send(Buffer.from(hex, 'hex'), Number(port), address, r));
    s.close();
  });`;
const CALLER = `const [host, port, local] = process.argv.slice(1);
  const s = require('node:net').connect({ host, port: Number(port), localAddress: local || undefined });
  s.on('connect', () => console.log('connected')).on('error', (e) => { console.log(e.code); process.exit(); });`;
const LISTENER = `const [host, port] = process.argv.slice(1);
  require('node:net').createServer((s) => s.destroy()).listen(Number(port), host, () => console.log('listening'));`;

const hexOf = (text: string): string => Buffer.from(text).toString('hex');

async function sink(space: Namespace, family: 4 | 6, port: number): Promise<LabProcess> {
  const started = space.spawn(process.execPath, ['-e', SINK, String(family), String(port)]);
  await started.waitForOutput(/listening/);
  return started;
}

async function send(
  space: Namespace,
  to: string,
  port: number,
  hex: string,
  { count = 1, local = '' } = {},
): Promise<void> {
  const words = [to, String(port), hex, String(count), local];
  await space.exec(process.execPath, ['-e', SOURCE, ...words]);
}

const linesOf = (process: LabProcess, text: string): number =>
  process.output.split('\n').filter((line) => line.startsWith(`${text} `)).length;

for (const { flavour, backend, families, port, backendOptions } of CASES) {
  describe(`netns: what pods send to nodes' ports, ${backend}, ${flavour}`, () => {
    let lab: Lab;
    const node = (i: number): WeftNode => lab.weftNodes[i] as WeftNode;
    const underlay = (i: number, family: 4 | 6): string =>
      family === 4 ? node(i).underlay.address4 : node(i).underlay.address6;
    const overlay = (i: number): string => {
      const { subnet4 } = node(i).network;
      assert.ok(subnet4);
      // subnet.env has the gateway's address, one above the node's own.
      return addressInSubnet(subnet4, 0);
    };

    before(async () => {
      const configOptions = { EnableNFTables: flavour === 'nftables' };
      const shared = { backend, families, configOptions, flags: FLAGS };
      const options = backendOptions ? { backendOptions } : {};
      lab = await Lab.build({ nodes: [WEFT, WEFT], ...shared, ...options });
    });
    after(() => lab?.close());

    /** A datagram for the second node's pod, as if the first node had encapsulated it. */
    async function forged(family: 4 | 6): Promise<string> {
      const inner = udpPacket({
        source: STRANGER[family],
        destination: lab.pod(1).address(family),
        destinationPort: POD_PORT,
        payload: Buffer.from('forged'),
      });
      if (backend === 'udp') return Buffer.from(inner).toString('hex');
      const { devices } = await statusOf(node(1));
      const text = devices.find((device) => device.family === family)?.mac ?? '';
      const mac = parseMac(text);
      assert.ok(mac);
      const header = '0800000000000100'; // VNI 1
      const ethernet = `${text.replaceAll(':', '')}020000000001${family === 4 ? '0800' : '86dd'}`;
      return header + ethernet + Buffer.from(inner).toString('hex');
    }

    /** Packets that the guard of the first node dropped. */
    async function dropped(): Promise<number> {
      const { namespace } = node(0);
      let packets = 0;
      for (const family of families) {
        if (flavour === 'iptables') {
          const tool = family === 4 ? 'iptables' : 'ip6tables';
          const args = ['-t', 'mangle', '-L', 'WEFT-GUARD', '-vnx'];
          const { stdout } = await namespace.exec(tool, args);
          for (const [, count] of stdout.matchAll(/^\s*(\d+)\s+\d+\s+DROP/gm))
            packets += Number(count);
        } else {
          const table = family === 4 ? ['ip', 'flannel-ipv4'] : ['ip6', 'flannel-ipv6'];
          const { stdout } = await namespace.exec('nft', ['list', 'table', ...table]);
          for (const [, count] of stdout.matchAll(/counter packets (\d+) bytes \d+ drop/g))
            packets += Number(count);
        }
      }
      return packets;
    }

    /** How many of COUNT forged datagrams get to the second node's pod. */
    async function arriving(
      family: 4 | 6,
      { to = underlay(1, family), toPort = port, local = '' } = {},
    ): Promise<number> {
      const listener = await sink(lab.pod(1).namespace, family, POD_PORT);
      await send(lab.pod(0).namespace, to, toPort, await forged(family), { count: COUNT, local });
      // What is sent later through the overlay arrives behind what was sent before.
      const end = async (): Promise<boolean> => {
        await send(lab.pod(0).namespace, lab.pod(1).address(family), POD_PORT, hexOf('end'));
        return linesOf(listener, 'end') > 0;
      };
      await until('the datagram behind the forged ones', end);
      await listener.kill();
      return linesOf(listener, 'forged');
    }

    for (const family of families) {
      it(`none of ${COUNT} forged datagrams gets to another node, IPv${family}`, async () => {
        const before = await dropped();
        assert.equal(await arriving(family), 0);
        assert.equal((await dropped()) - before, COUNT);
      });

      it(`pods are masqueraded on their way out and may nest overlays, IPv${family}`, async () => {
        const outside = await sink(node(1).namespace, family, POD_PORT);
        await send(lab.pod(0).namespace, underlay(1, family), POD_PORT, hexOf('plain'));
        const [, source] = await outside.waitForOutput(/plain from (\S+)/);
        assert.equal(source, underlay(0, family));
        await outside.kill();
        const nested = await sink(lab.pod(1).namespace, family, port);
        await send(lab.pod(0).namespace, lab.pod(1).address(family), port, hexOf('nested'));
        const [, pod] = await nested.waitForOutput(/nested from (\S+)/);
        assert.equal(pod, lab.pod(0).address(family));
        await nested.kill();
      });
    }

    // What follows does not depend on the encapsulation.
    if (backend === 'vxlan') {
      it('a service whose end point is another node does not help a pod', async () => {
        const { namespace } = node(0);
        const service = ['-d', SERVICE, '-p', 'udp', '--dport', '53'];
        const target = ['-j', 'DNAT', '--to-destination', `${underlay(1, 4)}:${port}`];
        await namespace.exec('iptables', ['-t', 'nat', '-A', 'PREROUTING', ...service, ...target]);
        const before = await dropped();
        assert.equal(await arriving(4, { to: SERVICE, toPort: 53 }), 0);
        assert.equal((await dropped()) - before, COUNT);
        await namespace.exec('iptables', ['-t', 'nat', '-D', 'PREROUTING', ...service, ...target]);
      });

      it("neither does another pod's address as its own", async () => {
        const other = '10.244.255.9';
        await lab.pod(0).namespace.ip('addr', 'add', `${other}/32`, 'dev', 'eth0');
        const before = await dropped();
        assert.equal(await arriving(4, { local: other }), 0);
        // Where the reverse path is checked the kernel dropped them already.
        const filters = ['net.ipv4.conf.all.rp_filter', 'net.ipv4.conf.pod0.rp_filter'];
        const { stdout } = await node(0).namespace.exec('sysctl', ['-n', ...filters]);
        const isStrict = Math.max(...stdout.trim().split('\n').map(Number)) === 1;
        assert.equal((await dropped()) - before, isStrict ? 0 : COUNT);
        await lab.pod(0).namespace.ip('addr', 'delete', `${other}/32`, 'dev', 'eth0');
      });

      it('nor does a bridge between the pod and its node', async () => {
        const { namespace, network } = node(0);
        assert.ok(network.subnet4);
        const gateway = `${addressInSubnet(network.subnet4, 1)}/24`;
        await namespace.ip('link', 'add', 'cni0', 'type', 'bridge');
        await namespace.ip('link', 'set', 'cni0', 'up');
        await namespace.ip('addr', 'delete', gateway, 'dev', 'pod0');
        await namespace.ip('link', 'set', 'pod0', 'master', 'cni0');
        await namespace.ip('addr', 'add', gateway, 'dev', 'cni0');
        const before = await dropped();
        assert.equal(await arriving(4), 0);
        assert.equal((await dropped()) - before, COUNT);
        await namespace.ip('link', 'delete', 'cni0');
        await namespace.ip('addr', 'add', gateway, 'dev', 'pod0');
      });

      it("a pod gets nothing through its own node's port either, and no answer at the reach port", async () => {
        const inbound = async (): Promise<number> => {
          const { inUnknownPeer = 0, inOverlayLoop = 0 } = (await statusOf(node(0))).drops.inbound;
          return inUnknownPeer + inOverlayLoop;
        };
        const before = await inbound();
        await send(lab.pod(0).namespace, underlay(0, 4), port, await forged(4), { count: COUNT });
        await until('all are counted as dropped', async () => (await inbound()) - before === COUNT);
        const caller = ['-e', CALLER, overlay(0), String(REACH_PORT)];
        const { stdout } = await lab.pod(0).namespace.exec(process.execPath, caller);
        assert.match(stdout, /ECONNRESET/);
      });

      it("nothing that is routed or that pods send gets to another node's reach port", async () => {
        const { namespace } = node(0);
        const pod = lab.pod(0).namespace;
        await pod.ip('addr', 'add', `${ROUTED}/32`, 'dev', 'eth0');
        await namespace.ip('route', 'add', `${ROUTED}/32`, 'dev', 'pod0');
        for (const local of ['', ROUTED]) {
          const before = await dropped();
          const args = ['-e', CALLER, overlay(1), String(REACH_PORT), local];
          const caller = pod.spawn(process.execPath, args);
          await until('the guard counts', async () => (await dropped()) > before);
          await caller.kill();
          assert.equal(caller.output, '', local);
        }
        // The port is the nodes' in the overlay only: outside it is anybody's.
        const args = ['-e', LISTENER, underlay(1, 4), String(REACH_PORT)];
        const listener = node(1).namespace.spawn(process.execPath, args);
        await listener.waitForOutput(/listening/);
        const caller = pod.spawn(process.execPath, [
          '-e',
          CALLER,
          underlay(1, 4),
          String(REACH_PORT),
        ]);
        await caller.waitForOutput(/connected/);
        await caller.kill();
        await listener.kill();
      });

      it("another machine's encapsulated packets are routed as before", async () => {
        const inbound = async (): Promise<number> =>
          (await statusOf(node(1))).drops.inbound['inUnknownPeer'] ?? 0;
        const before = await inbound();
        const options = { count: COUNT, local: ROUTED };
        await send(lab.pod(0).namespace, underlay(1, 4), port, await forged(4), options);
        await until('the other node got them', async () => (await inbound()) - before === COUNT);
      });
    }

    it('a rule that was deleted comes back', async () => {
      const { namespace } = node(0);
      if (flavour === 'iptables') await namespace.exec('iptables', ['-t', 'mangle', '-F']);
      else await namespace.exec('nft', ['flush', 'chain', 'ip', 'flannel-ipv4', 'guard']);
      const text = async (): Promise<string> =>
        flavour === 'iptables'
          ? (await namespace.exec('iptables', ['-t', 'mangle', '-S'])).stdout
          : (await namespace.exec('nft', ['list', 'table', 'ip', 'flannel-ipv4'])).stdout;
      await until('it is back', async () => /weft guard of 10\.244\.0\.0\/16/.test(await text()));
      // iptables takes the chain first, and then what leads there.
      if (flavour === 'iptables')
        await until('packets go there', async () =>
          /-A FORWARD.* -j WEFT-GUARD/.test(await text()),
        );
      assert.equal(await arriving(4), 0);
    });

    it('the switch lets pods send it all', async () => {
      await node(0).restart({ flags: [...FLAGS, '--drop-pod-encapsulation=false'] });
      await lab.waitForPeers();
      for (const family of families) assert.equal(await arriving(family), COUNT);
      assert.equal(await dropped().catch(() => 0), 0);
      if (backend !== 'vxlan') return;
      const args = ['-e', CALLER, overlay(1), String(REACH_PORT), ROUTED];
      const caller = lab.pod(0).namespace.spawn(process.execPath, args);
      await caller.waitForOutput(/connected/);
      await caller.kill();
    });
  });
}
