/** /config: the options in force with their origin, and the network config as it was understood. */
import type { ConfigPage, OptionEntry, Range } from '../../../api/config.ts';
import type { FamilyConfig } from '../../../cluster/network-config.ts';
import type { EffectiveOption } from '../../../options/effective.ts';
import { formatPrefix } from '../../../shared/address.ts';
import type { Node } from '../../node.ts';

export function configPage({ options, config, registry }: Node): ConfigPage {
  return {
    options: options.map(optionJson),
    networkConfigPlace: registry.configPlace,
    networkConfig: config
      ? {
          nftables: config.nftables,
          ipv4: config.ipv4 ? rangeJson(config.ipv4) : null,
          ipv6: config.ipv6 ? rangeJson(config.ipv6) : null,
          backend: { ...config.backend },
        }
      : null,
  };
}

function optionJson({ name, value, origin, environment }: EffectiveOption): OptionEntry {
  return { name, value: typeof value === 'object' ? [...value] : value, origin, environment };
}

function rangeJson({ network, subnetLength, subnetMin, subnetMax }: FamilyConfig): Range {
  return {
    network: formatPrefix(network),
    subnetLength,
    subnetMin: formatPrefix(subnetMin),
    subnetMax: formatPrefix(subnetMax),
  };
}
