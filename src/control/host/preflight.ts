/** What must be there before anything is changed, each with a message that says what to do. */
import { access, constants, readFile } from 'node:fs/promises';
import { EXIT, WeftError } from '../../shared/errors.ts';
import { type Exec, exec, ipJson } from './exec.ts';

const CAP_NET_ADMIN = 12n;

interface LinkJson {
  ifname: string;
  flags?: string[];
  linkinfo?: { info_kind?: string; info_data?: { port?: number } };
}

/** Throws WeftError ERR_PERMISSION or ERR_NO_TUN. */
export async function checkHost(): Promise<void> {
  const status = await readFile('/proc/self/status', 'utf8');
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  if (((effective >> CAP_NET_ADMIN) & 1n) === 0n) {
    throw new WeftError(
      'ERR_PERMISSION',
      EXIT.noPermission,
      'no permission to make network devices: run weftd as root or give it CAP_NET_ADMIN',
    );
  }
  await access('/dev/net/tun', constants.R_OK | constants.W_OK).catch(
    (error: NodeJS.ErrnoException) => {
      const advice =
        error.code === 'ENOENT'
          ? 'load the module (modprobe tun) or, in a container, pass the device in (--device /dev/net/tun)'
          : 'give this user read and write access to it';
      throw new WeftError(
        'ERR_NO_TUN',
        EXIT.os,
        `/dev/net/tun can't be used (${error.code}): ${advice}`,
        error,
      );
    },
  );
}

/**
 * Throws WeftError ERR_TUN_BUSY when a device of ours exists already, ERR_PORT_TAKEN when a kernel vxlan device holds the port.
 * Without this, a second weftd of the same user would silently share both with the first.
 */
export async function checkDevices(
  names: readonly string[],
  port: number,
  run: Exec = exec,
): Promise<void> {
  const links = await ipJson<LinkJson>(['-d', 'link', 'show'], run);
  const existing = links.find((link) => names.includes(link.ifname));
  if (existing) {
    const name = existing.ifname;
    const kind = existing.linkinfo?.info_kind ?? 'other';
    const advice =
      kind === 'tun'
        ? `another weftd runs here (stop it), or it was left behind (remove it with: ip link delete ${name})`
        : `it is a kernel ${kind} device, left by flannel or another overlay; remove it with: ip link delete ${name}`;
    throw new WeftError('ERR_TUN_BUSY', EXIT.os, `device ${name} exists already: ${advice}`);
  }
  const why = await findPortHolder(port, run);
  if (why) throw new WeftError('ERR_PORT_TAKEN', EXIT.os, `UDP port ${port} is taken: ${why}`);
}

/** A message that names the kernel vxlan device which holds a UDP port (only while it is up), or undefined. */
export async function findPortHolder(port: number, run: Exec = exec): Promise<string | undefined> {
  const devices = await ipJson<LinkJson>(['-d', 'link', 'show', 'type', 'vxlan'], run);
  const holder = devices.find(
    ({ flags, linkinfo }) => linkinfo?.info_data?.port === port && flags?.includes('UP'),
  );
  return (
    holder &&
    `the kernel vxlan device ${holder.ifname} owns it; remove it with: ip link delete ${holder.ifname}`
  );
}
