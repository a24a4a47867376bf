/** The addresses that this host has now, on whatever device. */
import { parseAddress, type Words } from '../shared/address.ts';
import { type Exec, exec } from './exec.ts';
import { ADDRESSED_LINK, ipJson } from './ip-json.ts';

/** Without those that no packet from another link may have as its source anyway (fe80::/10): they come and go with every pod. */
export async function localAddresses(run: Exec = exec): Promise<Words[]> {
  const links = await ipJson(ADDRESSED_LINK, ['addr', 'show'], run);
  return links
    .flatMap(({ addr_info }) => addr_info)
    .map(({ local }) => parseAddress(local))
    .filter((address) => address !== undefined)
    .filter(([first]) => first >>> 22 !== 0xfe80 >>> 6);
}
