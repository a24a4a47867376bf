/** The backend that the network config asks for. */
import { AllocBackend } from './alloc.ts';
import type { Backend, BackendContext } from './backend.ts';
import { ExtensionBackend } from './extension.ts';
import { HostGatewayBackend } from './host-gw.ts';
import { TunnelBackend } from './tunnel.ts';

export function createBackend(context: BackendContext): Backend {
  const { backend } = context.config;
  switch (backend.type) {
    case 'vxlan':
    case 'udp':
      return new TunnelBackend(context, backend);
    case 'host-gw':
      return new HostGatewayBackend(context);
    case 'extension':
      return new ExtensionBackend(context, backend);
    case 'alloc':
      return new AllocBackend(context);
  }
}
