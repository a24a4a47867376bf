/**
 * Who a packet from another node may say it comes from, judged by what reaches a pod and a host through the real kernel. The peer's side is
 * hostile: raw sockets send whatever they like.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { Lab } from '../../lab/lab.ts';
import type { Namespace } from '../../lab/namespace.ts';
import { addressInSubnet, type LabNode } from '../../lab/node.ts';
import type { LabProcess } from '../../lab/process.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import type { Prefix } from '../../src/shared/address.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { ODD_SOURCES } from '../support/inner-source.ts';
import { needs } from '../support/needs.ts';
import { statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

const PORT = '7777';
const TIMES = 5;
const program = (name: string): string =>
  path.join(projectRoot(), `dist/test/support/programs/${name}.js`);
/** Of another device of the node, as Docker's bridge has one. */
const BRIDGE = { 4: '172.17.0.1', 6: 'fd00:172::1' } as const;
const LATE = { 4: '198.51.100.7', 6: '2001:db8:7::7' } as const;

for (const sourceCheck of ['lease', 'off']) {
  describe(`netns: inner sources with --source-check=${sourceCheck}`, () => {
    let lab: Lab;
    const victim = (): WeftNode => lab.weftNodes[0] as WeftNode;
    const subnet = (node: LabNode, family: 4 | 6): Prefix =>
      node.network[family === 4 ? 'subnet4' : 'subnet6'] as Prefix;
    const underlay = (node: LabNode, family: 4 | 6): string =>
      family === 4 ? node.underlay.address4 : node.underlay.address6;
    const device = (node: LabNode, family: 4 | 6): string =>
      addressInSubnet(subnet(node, family), 0);

    before(async () => {
      const weft = { kind: 'weft' } as const;
      const nodes = [weft, weft, { kind: 'kernel' } as const];
      lab = await Lab.build({ nodes, families: [4, 6], sourceCheck });
      for (const { namespace } of lab.nodes) await acceptAnyPath(namespace);
      const { namespace } = victim();
      await namespace.ip('link', 'add', 'docker0', 'type', 'bridge');
      await namespace.ip('addr', 'add', `${BRIDGE[4]}/16`, 'dev', 'docker0');
      await namespace.ip('addr', 'add', `${BRIDGE[6]}/64`, 'dev', 'docker0', 'nodad');
      await namespace.ip('addr', 'add', '203.0.113.50/32', 'dev', 'lo');
      // No carrier, no route by it: what stops a packet is its source.
      await namespace.ip('link', 'set', 'docker0', 'up');
    });
    after(() => lab?.close());

    const drops = async (): Promise<number> =>
      (await statusOf(victim())).drops.inbound['inForeignSource'] ?? 0;

    /** Sends in the name of all of them, then as itself; says who was heard. */
    async function heard(
      listener: LabProcess,
      from: Namespace,
      to: string,
      sources: readonly string[],
      itself: string,
    ): Promise<string[]> {
      const begin = listener.output.length;
      await from.exec(process.execPath, [
        program('spoof'),
        to,
        PORT,
        `${TIMES}`,
        ...sources,
        itself,
      ]);
      const lines = (): string[] => listener.output.slice(begin).split('\n').filter(Boolean);
      await until(
        `${itself} is heard`,
        () => lines().filter((line) => line === itself).length === TIMES,
      );
      return lines().filter((line) => line !== itself);
    }

    async function listenIn(space: Namespace, t: TestContext): Promise<LabProcess> {
      const listener = space.spawn(process.execPath, [program('udp-sources'), PORT]);
      t.after(() => listener.stop());
      await listener.waitForOutput(/listens\n.*listens/);
      return listener;
    }

    for (const family of [4, 6] as const) {
      it(`IPv${family}: a peer that speaks in this node's name, or in nobody's, reaches neither pod nor host`, async (t) => {
        const own = [underlay(victim(), family), device(victim(), family), BRIDGE[family]];
        own.push(addressInSubnet(subnet(victim(), family), 1));
        if (family === 4) own.push('203.0.113.50');
        const sources = [...own, ...ODD_SOURCES[family].filter(isSendable)];
        const attacker = lab.nodes[1] as LabNode;
        const places: [Namespace, string][] = [
          [lab.pod(0).namespace, lab.pod(0).address(family)],
          [victim().namespace, addressInSubnet(subnet(victim(), family), 1)],
        ];
        for (const [space, to] of places) {
          const listener = await listenIn(space, t);
          const before = await drops();
          const itself = device(attacker, family);
          assert.deepEqual(await heard(listener, attacker.namespace, to, sources, itself), []);
          assert.equal((await drops()) - before, TIMES * sources.length, 'each is counted');
        }
      });

      it(`IPv${family}: what a peer's host sends in its own name arrives, from weft and kernel VXLAN`, async (t) => {
        const listener = await listenIn(lab.pod(0).namespace, t);
        for (const peer of lab.nodes.slice(1)) {
          const from = [underlay(peer, family)];
          const to = lab.pod(0).address(family);
          const lines = await heard(listener, peer.namespace, to, from, device(peer, family));
          assert.deepEqual(lines, Array(TIMES).fill(from[0]));
        }
      });

      it(`IPv${family}: an address that the node gets while it runs is its own from then on`, async (t) => {
        const late = LATE[family];
        const peer = lab.nodes[1] as LabNode;
        const to = lab.pod(0).address(family);
        const listener = await listenIn(lab.pod(0).namespace, t);
        const send = () => heard(listener, peer.namespace, to, [late], device(peer, family));
        assert.deepEqual(await send(), Array(TIMES).fill(late));
        const bits = family === 4 ? 32 : 128;
        const change = ['dev', 'lo', ...(family === 6 ? ['nodad'] : [])];
        await victim().namespace.ip('addr', 'add', `${late}/${bits}`, ...change);
        await until('weft drops it', async () => {
          const before = await drops();
          const lines = await send();
          return lines.length === 0 && (await drops()) - before === TIMES;
        });
        await victim().namespace.ip('addr', 'delete', `${late}/${bits}`, 'dev', 'lo');
        await until('it is a stranger again', async () => (await send()).length === TIMES);
      });
    }
  });
}

/** The kernel sends no packet with such a source, not even from a raw socket. */
function isSendable(source: string): boolean {
  return !['0.0.0.0', '::', '::ffff:127.0.0.1', '::ffff:192.0.2.9'].includes(source);
}

/** Reverse path filters would hide what is tested: they judge by routes, not by whose an address is. */
async function acceptAnyPath(space: Namespace): Promise<void> {
  const { stdout } = await space.exec('ls', ['/proc/sys/net/ipv4/conf']);
  const devices = stdout.split('\n').filter(Boolean);
  await space.sysctl(
    Object.fromEntries(devices.map((name) => [`net/ipv4/conf/${name}/rp_filter`, 0])),
  );
}
