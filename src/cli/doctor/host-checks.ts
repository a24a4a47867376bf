/** Checks of the host: devices, rights, sysctls. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { type Check, type Finding, fail, ok, skipped, warn } from './check.ts';
import { readKernel } from './kernel-file.ts';
import { overlayOf } from './overlay.ts';

const CAPABILITIES = { NET_ADMIN: 12n, NET_RAW: 13n } as const;
const RMEM_WANTED = 4 << 20;

/** Major 10, minor 200 (Linux admin-guide/devices), as stat writes them. */
const TUN_DEVICE = (10 << 8) | 200;

export function judgeTun(code: string | undefined): Finding {
  if (code === undefined) return ok('/dev/net/tun opens');
  if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO')
    return fail(
      `/dev/net/tun is not there (${code})`,
      'modprobe tun; in a container: --device /dev/net/tun, in a pod a hostPath volume',
    );
  return fail(
    `/dev/net/tun can't be opened (${code})`,
    'chmod 0666 /dev/net/tun; in a container allow the device: --device /dev/net/tun',
  );
}

/** `status`: text of /proc/self/status. */
export function judgeCapabilities(status: string): Finding {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const missing = Object.entries(CAPABILITIES)
    .filter(([, bit]) => ((effective >> bit) & 1n) === 0n)
    .map(([name]) => `CAP_${name}`);
  if (missing.length === 0) return ok('CAP_NET_ADMIN and CAP_NET_RAW');
  const text = `missing here: ${missing.join(', ')}`;
  const fix = 'run as root, or give them: --cap-add NET_ADMIN --cap-add NET_RAW';
  return missing.includes('CAP_NET_ADMIN') ? fail(text, fix) : warn(text, fix);
}

export function judgeForwarding(values: Readonly<Record<4 | 6, string | undefined>>): Finding {
  const names = { 4: 'net.ipv4.ip_forward', 6: 'net.ipv6.conf.all.forwarding' } as const;
  const off = ([4, 6] as const).filter((family) => values[family] === '0');
  if (off.length === 0) return ok('on');
  const command = off.map((family) => `${names[family]}=1`).join(' ');
  return fail(
    `off: ${off.map((family) => names[family]).join(', ')}; pods can't reach anything outside this node`,
    `sysctl -w ${command}, and the same in /etc/sysctl.d/`,
  );
}

/** The kernel takes the larger of "all" and the device's own. 1 = strict. */
export function judgeReversePath(all: number, devices: Readonly<Record<string, number>>): Finding {
  const strict = Object.keys(devices).filter((name) => Math.max(all, devices[name] ?? 0) === 1);
  if (strict.length === 0) return ok('not strict');
  const names = all === 1 ? ['all', ...strict] : strict;
  const settings = names.map((name) => `net/ipv4/conf/${name}/rp_filter=2`);
  return warn(
    `strict on ${strict.join(', ')}: packets whose return route uses another device are silently dropped`,
    `sysctl -w ${settings.join(' ')}`,
  );
}

/** `on`: of "all", "default" and the overlay's devices, those that take packets from addresses of this host. */
export function judgeAcceptLocal(on: readonly string[]): Finding {
  if (on.length === 0) return ok('refused');
  const settings = on.map((name) => `net/ipv4/conf/${name}/accept_local=0`);
  return warn(
    `accepted (accept_local=1 for ${on.join(', ')}): what comes in there may claim to be from this host`,
    `sysctl -w ${settings.join(' ')}, and the same in /etc/sysctl.d/; weft doesn't need it`,
  );
}

export function judgeReceiveBuffer(rmemMax: number, socketDrops: number | undefined): Finding {
  const figures = `net.core.rmem_max ${rmemMax} bytes`;
  if (!socketDrops) return ok(`${figures}, no datagrams lost to a full buffer`);
  return warn(
    `${figures}; ${socketDrops} datagrams found the socket buffer full`,
    rmemMax < RMEM_WANTED
      ? `sysctl -w net.core.rmem_max=${RMEM_WANTED}, then restart weftd`
      : 'give weftd more workers: --workers=auto',
  );
}

/** `value`: of net.bridge.bridge-nf-call-iptables; undefined without the module. */
export function judgeBridgeNetfilter(value: string | undefined, hasServices: boolean): Finding {
  if (value === '1') return ok('on: rules see bridged packets');
  if (!hasServices)
    return ok("off; weft doesn't need it, but kube-proxy does for pods behind one bridge");
  const isLoaded = value !== undefined;
  return warn(
    `${isLoaded ? 'net.bridge.bridge-nf-call-iptables is 0' : 'the module is not loaded'}: a pod can't reach a Service whose pod is on the same node`,
    isLoaded
      ? 'sysctl -w net.bridge.bridge-nf-call-iptables=1, and the same in /etc/sysctl.d/'
      : 'modprobe br_netfilter, and its name in /etc/modules-load.d/',
  );
}

export const HOST_CHECKS: readonly Check[] = [
  {
    id: 'tun-device',
    group: 'host',
    severity: 'fail',
    title: '/dev/net/tun',
    needsRoot: true,
    run: async () => {
      try {
        const device = await open('/dev/net/tun', constants.O_RDWR);
        const { rdev } = await device.stat().finally(() => device.close());
        return judgeTun(rdev === TUN_DEVICE ? undefined : 'ENODEV');
      } catch (error) {
        return judgeTun((error as NodeJS.ErrnoException).code ?? 'unknown error');
      }
    },
  },
  {
    id: 'capabilities',
    group: 'host',
    severity: 'fail',
    title: 'capabilities',
    needsRoot: true,
    run: async () => judgeCapabilities((await readKernel('/proc/self/status')) ?? ''),
  },
  {
    id: 'ip-forward',
    group: 'host',
    severity: 'fail',
    title: 'IP forwarding',
    run: async (site) => {
      const config = await site.config();
      const wants = { 4: config ? config.ipv4 !== undefined : true, 6: !!config?.ipv6 };
      const read = async (family: 4 | 6, file: string): Promise<string | undefined> =>
        wants[family] ? readKernel(`/proc/sys/net/${file}`) : undefined;
      return judgeForwarding({
        4: await read(4, 'ipv4/ip_forward'),
        6: await read(6, 'ipv6/conf/all/forwarding'),
      });
    },
  },
  {
    id: 'rp-filter',
    group: 'host',
    severity: 'warn',
    title: 'reverse path filter',
    run: async (site) => {
      const external = await site.external();
      const { devices } = await overlayOf(site);
      const names = [...('error' in external ? [] : [external.name]), ...devices.values()];
      const read = async (name: string): Promise<number> =>
        Number((await readKernel(`/proc/sys/net/ipv4/conf/${name}/rp_filter`)) ?? 0);
      const found: Record<string, number> = {};
      for (const name of names) found[name] = await read(name);
      return judgeReversePath(await read('all'), found);
    },
  },
  {
    id: 'accept-local',
    group: 'host',
    severity: 'warn',
    title: "packets from this host's own addresses",
    run: async (site) => {
      const { devices } = await overlayOf(site);
      const on: string[] = [];
      for (const name of ['all', 'default', ...devices.values()]) {
        const value = await readKernel(`/proc/sys/net/ipv4/conf/${name}/accept_local`);
        if (value === '1') on.push(name);
      }
      return judgeAcceptLocal(on);
    },
  },
  {
    id: 'ipv6-disabled',
    group: 'host',
    severity: 'fail',
    title: 'IPv6',
    run: async (site) => {
      if (!(await site.config())?.ipv6) return skipped('the network config has no IPv6');
      const value = await readKernel('/proc/sys/net/ipv6/conf/all/disable_ipv6');
      if (value === '0') return ok('on');
      return fail(
        `the network config has IPv6, this host ${value === undefined ? 'has none' : 'switched it off'}`,
        'sysctl -w net.ipv6.conf.all.disable_ipv6=0, or EnableIPv6=false in the network config',
      );
    },
  },
  {
    id: 'receive-buffer',
    group: 'host',
    severity: 'warn',
    title: 'socket buffers',
    run: async (site) => {
      const value = await readKernel('/proc/sys/net/core/rmem_max');
      if (value === undefined) return skipped("net.core.rmem_max can't be read here");
      return judgeReceiveBuffer(Number(value), (await site.daemon())?.stats?.['udpSocketDrops']);
    },
  },
  {
    id: 'br-netfilter',
    group: 'host',
    severity: 'warn',
    title: 'br_netfilter',
    run: async (site) => {
      const value = await readKernel('/proc/sys/net/bridge/bridge-nf-call-iptables');
      return judgeBridgeNetfilter(value, site.settings?.store.kind === 'kubernetes');
    },
  },
];
