/** The links that weftd makes, whatever its config was. */
import { KINDS, type Kinds } from '../cluster/kinds/all.ts';
import type { Link } from './ip-json.ts';

/** The TAP of tunnel GSO. */
const HELPER = { names: /^weft\.\d+$/, linkKind: 'tun' };
/** The near end of the fast path's merger; the far end goes with it. */
const MERGER = { names: /^weft\.\d+a$/, linkKind: 'veth' };

/** A name that weftd, or flannel in its place, gives a device. */
export function hasOwnName({ ifname }: Pick<Link, 'ifname'>, kinds: Kinds = KINDS): boolean {
  return devicesOf(kinds).some(({ names }) => names.test(ifname));
}

/** Of another kind under a name of ours it is somebody else's. */
export function isOwnDevice(
  { ifname, linkinfo }: Pick<Link, 'ifname' | 'linkinfo'>,
  kinds: Kinds = KINDS,
): boolean {
  return devicesOf(kinds).some(
    ({ names, linkKind }) => names.test(ifname) && linkKind === linkinfo?.info_kind,
  );
}

function devicesOf(kinds: Kinds): { names: RegExp; linkKind: string }[] {
  return [HELPER, MERGER, ...kinds.flatMap(({ devices }) => devices ?? [])];
}
