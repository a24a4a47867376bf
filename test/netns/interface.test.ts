/** IFC: choosing the underlay's interface by what `ip` really says, in a namespace with several of them. */
import assert from 'node:assert/strict';
import { LabScope, type Namespace } from '../../lab/namespace.ts';
import type { Exec } from '../../src/host/exec.ts';
import {
  findExternalInterface,
  type InterfaceWishes,
  lookAtLinks,
} from '../../src/host/external-interface.ts';
import { formatAddress } from '../../src/shared/address.ts';
import { needs } from '../support/needs.ts';

const { after, before, describe, it } = needs('root');

describe('netns: the underlay interface', () => {
  let scope: LabScope;
  let space: Namespace;
  const run: Exec = async (command, args, input) =>
    (await space.exec(command, args, input === undefined ? {} : { input })).stdout;
  const choose = async (wishes: Partial<InterfaceWishes>): Promise<string> => {
    const none = { interfaces: [], patterns: [], canReach: '', publicIp: '', publicIpv6: '' };
    const all = { ...none, wants4: true, wants6: false, podSubnets: [], ...wishes };
    const links = await lookAtLinks(run);
    const found = await findExternalInterface(all, links, run);
    const { name, address4, address6, public4, public6 } = found;
    const locals = [address4, address6].flatMap((words) => (words ? formatAddress(words) : []));
    const published = [public4, public6].flatMap((words) => (words ? formatAddress(words) : []));
    return `${name} ${locals.join()} ${published.join()}`;
  };
  const V6 = { wants4: false, wants6: true };
  const DUAL = { wants4: true, wants6: true };

  before(async () => {
    scope = await LabScope.open();
    space = await scope.namespace('if');
    for (const [name, addresses] of [
      ['wan0', ['192.0.2.5/24', '192.0.2.6/24', '2001:db8:1::5/64']],
      ['lan0', ['198.51.100.1/24', '2001:db8:2::1/64']],
      ['four0', ['203.0.113.1/24']],
      ['bare0', []],
    ] as const) {
      await space.ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `peer-${name}`);
      await space.ip('link', 'set', `peer-${name}`, 'up');
      await space.ip('link', 'set', name, 'addrgenmode', 'none', 'up');
      for (const address of addresses)
        await space.ip(
          'addr',
          'add',
          address,
          'dev',
          name,
          ...(address.includes(':') ? ['nodad'] : []),
        );
    }
    await space.ip('route', 'add', 'default', 'via', '192.0.2.1');
    await space.ip('-6', 'route', 'add', 'default', 'via', '2001:db8:1::1', 'dev', 'wan0');
  });
  after(() => scope?.close());

  it('IFC-1 by name, in order, first that exists', async () => {
    assert.equal(
      await choose({ interfaces: ['none0', 'lan0', 'wan0'] }),
      'lan0 198.51.100.1 198.51.100.1',
    );
    assert.equal(await choose({ interfaces: ['lan0'], ...V6 }), 'lan0 2001:db8:2::1 2001:db8:2::1');
    assert.equal(
      await choose({ interfaces: ['lan0'], ...DUAL }),
      'lan0 198.51.100.1,2001:db8:2::1 198.51.100.1,2001:db8:2::1',
    );
    await assert.rejects(choose({ interfaces: ['four0'], ...DUAL }), /four0 has no IPv6 address/);
    await assert.rejects(choose({ interfaces: ['bare0'] }), /bare0 has no IPv4 address/);
    await assert.rejects(choose({ interfaces: ['none0'] }), {
      exitCode: 1,
      message: /none0.*wan0/,
    });
  });

  it('IFC-2 by address: that address is used, not the first of the interface', async () => {
    assert.match(await choose({ interfaces: ['192.0.2.6'] }), /^wan0 192\.0\.2\.6 192\.0\.2\.6$/);
    assert.match(await choose({ interfaces: ['2001:db8:2::1'], ...V6 }), /^lan0 .*2001:db8:2::1$/);
    await assert.rejects(choose({ interfaces: ['192.0.2.66'] }), /no interface matches/);
  });

  it('IFC-3 by expression on addresses; dual stack needs both families on one interface', async () => {
    assert.match(await choose({ patterns: [/^198\.51\./] }), /^lan0 198\.51\.100\.1/);
    assert.match(await choose({ patterns: [/^(203\.|198\.51\.|2001:db8:2:)/], ...DUAL }), /^lan0 /);
  });

  it('IFC-4 by expression on names, after addresses, after --iface', async () => {
    assert.match(await choose({ patterns: [/^four\d$/] }), /^four0 203\.0\.113\.1 /);
    assert.match(await choose({ patterns: [/^none/, /^lan/] }), /^lan0 /);
    assert.match(await choose({ interfaces: ['wan0'], patterns: [/^lan/] }), /^wan0 /);
  });

  it('IFC-5 the default route; dual stack needs both on one interface', async () => {
    assert.match(await choose({}), /^wan0 192\.0\.2\.5/);
    assert.match(await choose(V6), /^wan0 .*2001:db8:1::5$/);
    assert.match(
      await choose(DUAL),
      /^wan0 192\.0\.2\.5,2001:db8:1::5 192\.0\.2\.5,2001:db8:1::5$/,
    );
    await space.ip('-6', 'route', 'replace', 'default', 'via', '2001:db8:2::9', 'dev', 'lan0');
    await assert.rejects(choose(DUAL), /default routes.*wan0.*lan0/s);
    await space.ip('-6', 'route', 'replace', 'default', 'via', '2001:db8:1::1', 'dev', 'wan0');
  });

  it('IFC-6 by a route to an address, with its source', async () => {
    await space.ip('route', 'add', '10.77.0.0/16', 'via', '198.51.100.9', 'src', '198.51.100.1');
    assert.match(await choose({ canReach: '10.77.1.1' }), /^lan0 198\.51\.100\.1/);
  });

  it('IFC-6 --public-ip chooses its owner; a foreign one needs --iface and is published', async () => {
    assert.match(await choose({ publicIp: '198.51.100.1' }), /^lan0 /);
    await assert.rejects(choose({ publicIp: '192.0.2.99' }), { exitCode: 1, message: /--iface/ });
    assert.match(await choose({ publicIp: '192.0.2.99', interfaces: ['lan0'] }), / 192\.0\.2\.99$/);
    assert.match(
      await choose({ publicIp: '198.51.100.1', publicIpv6: '2001:db8:2::1', ...DUAL }),
      /^lan0 /,
    );
    await assert.rejects(
      choose({ publicIp: '198.51.100.1', publicIpv6: '2001:db8:1::5', ...DUAL }),
      /lan0.*wan0/s,
    );
  });

  it('deprecated addresses never, and IPv6 addresses of one link only: peers can not use them', async () => {
    const add = (address: string, ...flags: string[]) =>
      space.ip('addr', 'add', address, 'dev', 'four0', 'nodad', ...flags);
    await add('2001:db8:3::7/64', 'preferred_lft', '0');
    await assert.rejects(choose({ interfaces: ['four0'], ...V6 }), /four0 has no IPv6 address/);
    await add('fe80::7/64');
    await assert.rejects(choose({ interfaces: ['four0'], ...V6 }), {
      code: 'ERR_NO_ADDRESS',
      message: /four0 has no IPv6 address.*fe80/,
    });
    await add('2001:db8:3::8/64');
    assert.match(await choose({ interfaces: ['four0'], ...V6 }), /2001:db8:3::8$/);
  });
});
