/** What only the text of `nft -a list ruleset` has: rules as people know them, and the devices of ingress chains in older releases. */
import { ruleKey } from './nft-json.ts';

export interface NftTexts {
  rules: Map<string, string>;
  /** by chain: "netdev filter ingress" */
  devices: Map<string, string[]>;
}

export function readNftText(listing: string): NftTexts {
  const rules = new Map<string, string>();
  const devices = new Map<string, string[]>();
  let table = '';
  let chain = '';
  /** a rule with a long set takes several lines */
  let begun: string[] = [];
  for (const line of listing.split('\n').map((each) => each.trim())) {
    const handle = /^(.*) # handle (\d+)$/.exec(line);
    const head = /^(table|chain) (.*) \{ # handle \d+$/.exec(line);
    if (head?.[1] === 'table') table = head[2] ?? '';
    else if (head) chain = `${table} ${head[2]}`;
    else if (handle) rules.set(ruleKey(chain, Number(handle[2])), [...begun, handle[1]].join(' '));
    else if (/^type .* hook ingress devices? /.test(line))
      devices.set(
        chain,
        [...line.matchAll(/"([^"]*)"/g)].map((match) => match[1] as string),
      );
    const isWhole = handle !== null || /^(type|comment) |[;{}]$|^$/.test(line);
    begun = isWhole ? [] : [...begun, line];
  }
  return { rules, devices };
}
