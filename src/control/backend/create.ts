/** The backend that the network config asks for. */
import type { KnownConfig } from '../../cluster/kinds/all.ts';
import type { BackendConfig } from '../../cluster/kinds/kind.ts';
import { AllocBackend } from './alloc.ts';
import type { Backend, BackendContext } from './backend.ts';
import { ExtensionBackend } from './extension.ts';
import { HostGatewayBackend } from './host-gw.ts';
import { TunnelBackend } from './tunnel.ts';

type BackendClass<C extends BackendConfig> = new (context: BackendContext<C>) => Backend;

/** Which class does the work of a kind, by Backend.Type. */
const CLASSES: { readonly [C in KnownConfig as C['type']]: BackendClass<C> } = {
  vxlan: TunnelBackend,
  udp: TunnelBackend,
  'host-gw': HostGatewayBackend,
  alloc: AllocBackend,
  extension: ExtensionBackend,
};

export function createBackend(
  context: BackendContext,
  classes: Readonly<Record<string, BackendClass<never>>> = CLASSES,
): Backend {
  const { type } = context.config.backend;
  const found = classes[type];
  if (!found) throw new Error(`no class does the work of backend ${type}`);
  return new found(context as BackendContext<never>); // the table pairs type and class
}
