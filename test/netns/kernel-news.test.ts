/** The kernel's own announcements, in a namespace where things really change. */
import path from 'node:path';
import { LabScope, type Namespace } from '../../lab/namespace.ts';
import type { LabProcess } from '../../lab/process.ts';
import type { News } from '../../src/host/kernel-news.ts';
import { projectRoot } from '../../src/shared/root.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/until.ts';

const { after, before, describe, it } = needs('root');

describe("netns: the kernel's news", () => {
  let scope: LabScope;
  let space: Namespace;
  let listener: LabProcess;
  let device = 0;
  const heard = (): News[] =>
    listener.output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as News);
  /** Does it, and waits until everything that must be announced was. */
  const announces = async (change: () => Promise<unknown>, ...wanted: Partial<News>[]) => {
    const before = heard().length;
    await change();
    for (const one of wanted)
      await until(JSON.stringify(one), () =>
        heard()
          .slice(before)
          .some((news) =>
            Object.entries(one).every(([name, value]) => news[name as keyof News] === value),
          ),
      );
  };

  before(async () => {
    scope = await LabScope.open();
    space = await scope.namespace('news');
    const program = path.join(projectRoot(), 'dist/test/support/programs/news.js');
    listener = space.spawn(process.execPath, [program]);
    await listener.waitForOutput(/^ready$/m);
    await space.ip('link', 'add', 'dum0', 'type', 'bridge');
    const { stdout } = await space.ip('-j', 'link', 'show', 'dev', 'dum0');
    device = JSON.parse(stdout)[0].ifindex;
  });
  after(() => scope?.close());

  it('a link that comes, goes up, is renamed, goes down', async () => {
    const link = { about: 'link', gone: false, device } as const;
    await announces(() => space.ip('link', 'set', 'dum0', 'up'), link);
    await announces(() => space.ip('link', 'set', 'dum0', 'down'), link);
    await announces(() => space.ip('link', 'set', 'dum0', 'name', 'dum1'), link);
    await announces(() => space.ip('link', 'set', 'dum1', 'name', 'dum0'), link);
    await space.ip('link', 'set', 'dum0', 'up');
  });

  it('addresses of both families, with their routes of the local table', async () => {
    for (const address of ['192.0.2.1/24', '2001:db8::1/64']) {
      const added = { about: 'address', gone: false, device } as const;
      const add = () => space.ip('addr', 'add', address, 'dev', 'dum0');
      await announces(add, added, { about: 'route', gone: false, table: 255 });
      const remove = () => space.ip('addr', 'del', address, 'dev', 'dum0');
      await announces(remove, { ...added, gone: true });
    }
  });

  it('routes with their table, maker and device; tables beyond 255 too', async () => {
    await space.ip('addr', 'add', '192.0.2.1/24', 'dev', 'dum0');
    for (const [table, number] of [
      ['main', 254],
      ['100000', 100000],
    ] as const) {
      const words = ['198.51.100.0/24', 'dev', 'dum0', 'proto', '86', 'table', table];
      const route = { about: 'route', device, table: number, protocol: 86 } as const;
      await announces(() => space.ip('route', 'add', ...words), { ...route, gone: false });
      await announces(() => space.ip('route', 'del', ...words), { ...route, gone: true });
    }
    const six = ['2001:db8:9::/48', 'dev', 'dum0', 'proto', '86'];
    const route = { about: 'route', device, table: 254, protocol: 86 } as const;
    await announces(() => space.ip('-6', 'route', 'add', ...six), { ...route, gone: false });
    await announces(() => space.ip('-6', 'route', 'flush', 'proto', '86'), {
      ...route,
      gone: true,
    });
  });

  it('rules of policy routing', async () => {
    for (const family of ['-4', '-6']) {
      const rule = ['rule', 'add', 'pref', '99', 'table', '100'];
      await announces(() => space.ip(family, ...rule), { about: 'rule', gone: false });
      const pref = ['rule', 'del', 'pref', '99'];
      await announces(() => space.ip(family, ...pref), { about: 'rule', gone: true });
    }
  });

  it('nftables, by nft and by iptables', async () => {
    const firewall = { about: 'firewall' } as const;
    await announces(() => space.exec('nft', ['add', 'table', 'ip', 'weft_test']), firewall);
    await announces(() => space.exec('nft', ['flush', 'ruleset']), firewall);
    await announces(() => space.exec('iptables-nft', ['-N', 'WEFT-TEST']), firewall);
  });

  it('a device that is deleted', async () => {
    const gone = { about: 'link', gone: true, device } as const;
    await announces(() => space.ip('link', 'delete', 'dum0'), gone);
  });

  it('a flood that no buffer holds is not lost in silence', async () => {
    listener.signal('SIGSTOP');
    await space.ip('link', 'add', 'dum2', 'type', 'bridge');
    await space.ip('link', 'set', 'dum2', 'up');
    const routes = (verb: string): string =>
      Array.from(
        { length: 30_000 },
        (_, i) => `route ${verb} 10.${i >> 8}.${i & 255}.0/24 dev dum2\n`,
      ).join('');
    await announces(
      async () => {
        await space.exec('ip', ['-batch', '-'], { input: routes('add') });
        listener.signal('SIGCONT');
      },
      { about: 'lost' },
    );
  });
});
