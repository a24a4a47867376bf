/** Daemons on a three-member etcd with TLS and users, while pods talk: leaders die, tokens end, certificates change. */
import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Authority } from '../../lab/certificates.ts';
import { type EtcdServer, startCluster } from '../../lab/etcd.ts';
import type { Etcdctl } from '../../lab/etcdctl.ts';
import { Lab } from '../../lab/lab.ts';
import type { WeftNode } from '../../lab/weft-node.ts';
import { needs } from '../support/needs.ts';
import { statusOf } from '../support/node-status.ts';
import { until } from '../support/until.ts';
import { withoutLoss as loseNothing } from '../support/without-loss.ts';

const { after, before, describe, it } = needs('root');

const ADDRESS = '10.99.0.250';
const PASSWORD = 'not-for-the-log';
/** A node that exists only in the store. */
const ABSENT =
  '{"PublicIP":"198.18.0.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"}}';

describe('netns: etcd with three members, TLS and users', () => {
  let lab: Lab;
  let members: EtcdServer[] = [];
  let files: { caFile: string; certFile: string; keyFile: string };
  const node = (i: number): WeftNode => lab.weftNodes[i] as WeftNode;
  const root = (i = 0): Etcdctl =>
    (members[i] as EtcdServer).ctl({
      ...files,
      user: 'root:rootword',
      endpoints: members.map((member) => member.endpoint),
    });
  const servingAll = async (): Promise<void> => {
    for (const member of members)
      await member.waitUntilServing(member.ctl({ ...files, user: 'root:rootword' }));
  };
  const withoutLoss = (happen: () => Promise<void>): Promise<void> =>
    loseNothing(
      lab,
      [
        [0, 1],
        [1, 0],
      ],
      happen,
    );
  /** Peers converge: a node put into the store appears at both daemons, and goes again. Daemons choose among the first 100 subnets. */
  const converges = async (third: number): Promise<void> => {
    const key = `/net/subnets/10.244.${third}.0-24`;
    // A peer that goes while the store is in trouble is held for a while: that is the guard's work.
    const known = async (): Promise<string> => {
      const states = await Promise.all([0, 1].map((i) => statusOf(node(i))));
      return states.map(({ peers }) => peers.total - peers.held).join();
    };
    await root().put(key, ABSENT);
    await until('both see the new node', async () => (await known()) === '2,2', 60_000);
    await root().delete(key);
    await until('both see it go', async () => (await known()) === '1,1', 60_000);
  };
  const install = async (authority: Authority): Promise<void> => {
    const issued = await authority.issue('all', ADDRESS);
    copyFileSync(authority.caFile, files.caFile);
    copyFileSync(issued.certFile, files.certFile);
    copyFileSync(issued.keyFile, files.keyFile);
  };

  before(async () => {
    const weft = { kind: 'weft' } as const;
    lab = await Lab.build({ nodes: [weft, weft], store: 'etcd', waitForPeers: false });
    const folder = lab.storeDir;
    const file = (name: string): string => path.join(folder, name);
    files = { caFile: file('ca'), certFile: file('cert'), keyFile: file('key') };
    await install(await Authority.create(folder, 'first'));
    const namespace = lab.etcd?.options.namespace;
    assert.ok(namespace);
    const tls = { certFile: files.certFile, keyFile: files.keyFile, clientCaFile: files.caFile };
    const flags = ['--auth-token-ttl=2'];
    const more = { namespace, address: ADDRESS, tls, flags };
    members = await startCluster(path.join(folder, 'three'), 3, more, files);
    const ctl = (members[0] as EtcdServer).ctl(files);
    await ctl.put('/net/config', '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}');
    await ctl.run('user', 'add', 'root:rootword');
    await ctl.run('user', 'add', `flannel:${PASSWORD}`);
    await ctl.run('role', 'add', 'net');
    await ctl.run('role', 'grant-permission', 'net', '--prefix=true', 'readwrite', '/net/');
    await ctl.run('user', 'grant-role', 'flannel', 'net');
    // Certificates with a CN would count as users of that name.
    await ctl.run('user', 'add', 'all', '--no-password');
    await ctl.run('user', 'grant-role', 'all', 'root');
    await ctl.run('auth', 'enable');
    const store = [
      `--etcd-endpoints=${members.map((member) => member.endpoint).join(',')}`,
      '--etcd-prefix=/net',
      `--etcd-cafile=${files.caFile}`,
      `--etcd-certfile=${files.certFile}`,
      `--etcd-keyfile=${files.keyFile}`,
      '--etcd-username=flannel',
      `--etcd-password=${PASSWORD}`,
    ];
    // The pods' subnets must stay: each daemon finds its own of the lab's first etcd again.
    for (const { key, value } of (await lab.etcd
      ?.ctl()
      .getPrefix('/coreos.com/network/subnets/')) ?? [])
      await root().put(
        key.replace('/coreos.com/network', '/net'),
        value,
        await root().grant(86_400),
      );
    for (const one of lab.weftNodes) await one.restart({ store });
    await lab.waitForPeers();
  });
  after(() => lab?.close());

  it('the leader killed: another member serves, nothing is lost, peers converge', async () => {
    await withoutLoss(async () => {
      const leader = members[await root().leader()];
      assert.ok(leader);
      await leader.kill();
      await converges(210);
      await leader.start();
      await servingAll();
    });
  });

  it('no quorum for a while: forwarding goes on, then peers converge', async () => {
    await withoutLoss(async () => {
      await members[0]?.kill();
      await members[1]?.kill();
      await until('the daemon notices', async () => !(await statusOf(node(0))).store.ok, 60_000);
      await members[0]?.start();
      await members[1]?.start();
      await servingAll();
      await converges(211);
    });
  });

  it('tokens expired and made stale: nothing is lost, peers converge', async () => {
    await withoutLoss(async () => {
      await sleep(4_000); // twice the token's life
      await converges(212);
      await root().run('user', 'add', 'somebody:word');
      await converges(213);
    });
  });

  it('certificates rotated under a new authority, member by member: nothing is lost, peers converge', async () => {
    await withoutLoss(async () => {
      await install(await Authority.create(lab.storeDir, 'second'));
      for (const member of members) {
        await member.stop();
        await member.start();
      }
      await servingAll();
      await converges(214);
    });
  });

  it('the password never reached a log', () => {
    for (const one of lab.weftNodes) assert.ok(!one.log.includes(PASSWORD));
  });
});
