/**
 * Another flannel that is alive on this host. Its device must not be taken from it: it makes it anew without routes and neighbours, and
 * pods are cut from both.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, WeftError } from '../shared/errors.ts';
import { printable } from '../shared/printable.ts';
import { type Exec, exec } from './exec.ts';
import { ipJson, LINK, type Link } from './ip-json.ts';
import { type OtherProcess, processesNamed } from './processes.ts';

const FLANNELD = /^flanneld$/;
/** Programs that may have one built in; that they run proves nothing. */
const MAY_BE_FLANNEL = /^(flanneld|k3s(-server|-agent)?)$/;
/** flannel looks at its device when the kernel announces that it is gone: it needs some 50 ms. */
const RETURN_MS = 1_500;
const LOOK_MS = 100;

/** A flanneld that works on our network, or may do so; undefined where there is none that can be seen. */
export async function findFlanneld(): Promise<OtherProcess | undefined> {
  const found = await processesNamed(FLANNELD);
  return found.find(({ sharesNetwork }) => sharesNetwork !== false);
}

/** `holds` is what it has that we need. */
export function besideFlannel({ pid, command }: OtherProcess, holds: string): WeftError {
  const shown = printable(command);
  return refusal(
    `another flannel runs on this host: process ${pid} (${shown}) ${holds}; nothing was changed. Stop it and keep it from starting again, then start weftd`,
  );
}

/** A device that came back after we had removed it. */
export async function ownedBySomebody(device: string): Promise<WeftError> {
  const suspects = (await processesNamed(MAY_BE_FLANNEL)).filter(
    ({ sharesNetwork }) => sharesNetwork !== false,
  );
  const named = suspects.map(({ pid, command }) => `process ${pid} (${printable(command)})`);
  const who = named.length > 0 ? named.join(', ') : "a process that can't be seen from here";
  return refusal(
    `another flannel runs on this host: ${device} was made again by somebody else after weftd had removed it, and is left as it is. ` +
      `It may be ${who}. Stop the other flannel and keep it from starting again, then: ip link delete ${device}, and start weftd`,
  );
}

/** The first of the vxlan devices of these names that somebody makes again within a second or two; undefined if nobody does. */
export async function comesBack(
  names: readonly string[],
  run: Exec = exec,
): Promise<Link | undefined> {
  const untilMs = performance.now() + RETURN_MS;
  do {
    const links = await ipJson(LINK, ['-d', 'link', 'show', 'type', 'vxlan'], run);
    const found = links.find(({ ifname }) => names.includes(ifname));
    if (found) return found;
    await sleep(LOOK_MS);
  } while (performance.now() < untilMs);
  return undefined;
}

/** An exit code after which nobody starts us again: each time would cut the pods once more. */
function refusal(message: string): WeftError {
  return new WeftError('ERR_OTHER_FLANNEL', EXIT.config, message);
}
