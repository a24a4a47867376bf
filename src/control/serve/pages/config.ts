/** /config: the options in force with their origin, and the network config as it was understood. */

import type { FamilyConfig } from '../../../cluster/network-config.ts';
import { formatPrefix } from '../../../shared/address.ts';
import type { Node } from '../../node.ts';

export function configPage(node: Node): object {
  const { options, config, registry } = node;
  return {
    options,
    networkConfigPlace: registry.configPlace,
    networkConfig: config
      ? {
          nftables: config.nftables,
          ipv4: config.ipv4 ? familyJson(config.ipv4) : null,
          ipv6: config.ipv6 ? familyJson(config.ipv6) : null,
          backend: config.backend,
        }
      : null,
  };
}

function familyJson({ network, subnetLength, subnetMin, subnetMax }: FamilyConfig): object {
  return {
    network: formatPrefix(network),
    subnetLength,
    subnetMin: formatPrefix(subnetMin),
    subnetMax: formatPrefix(subnetMax),
  };
}
