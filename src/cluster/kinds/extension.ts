/** extension: the operator's own commands carry the packets (flannel pkg/backend/extension); what they add to them is not known. */
import { NO_MAC } from '../../shared/address.ts';
import type { Kind } from './kind.ts';
import { COMMAND } from './option.ts';

/** Command lines, "" = none; see control/backend/extension.ts. */
export interface ExtensionConfig {
  type: 'extension';
  preStartup: string;
  postStartup: string;
  subnetAdd: string;
  subnetRemove: string;
}

const options = {
  PreStartupCommand: COMMAND,
  PostStartupCommand: COMMAND,
  SubnetAddCommand: COMMAND,
  SubnetRemoveCommand: COMMAND,
};

export const EXTENSION_KIND: Kind<ExtensionConfig, typeof options> = {
  type: 'extension',
  publishes: 'extension',
  label: '',
  options,
  families: [4, 6],
  runsCommands: true,

  parse: (values) => ({
    type: 'extension',
    preStartup: values.prestartupcommand,
    postStartup: values.poststartupcommand,
    subnetAdd: values.subnetaddcommand,
    subnetRemove: values.subnetremovecommand,
  }),

  overheadBytes: () => 0,
  outerMtu: () => undefined,
  peerData: (_config, { backendData }) => ({ port: 0, mac: NO_MAC, data: backendData }),
};
