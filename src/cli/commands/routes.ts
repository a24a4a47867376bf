/** weft routes get ADDRESS: which way a packet to an address takes, like `ip route get`. */
import type { Command } from 'commander';
import { pageUrl } from '../../api/pages.ts';
import { type KernelRoute, type RoutePage, routeShape } from '../../api/routes.ts';
import { kindNamed } from '../../cluster/kinds/all.ts';
import { fetchPage } from '../client.ts';
import { addShow, type OnExit } from '../show.ts';
import type { Style } from '../style.ts';

export function addRoutes(program: Command, onExit: OnExit): void {
  const routes = program.command('routes').description('which way packets take').exitOverride();
  addShow(routes, onExit, {
    name: 'get',
    description: 'which way a packet to an address takes, like "ip route get"',
    argument: ['<address>', 'an IP address'],
    help: 'Exit code 1 when no way leads there.',
    shape: routeShape,
    answer: ({ adminSocket }, address) =>
      fetchPage(adminSocket, pageUrl('/routes', { address: address ?? '' })),
    render: renderRoute,
    exitCode: ({ way, kernel }) => (way === 'unleased' || kernel.problem !== null ? 1 : 0),
  });
}

export function renderRoute(route: RoutePage, style: Style): string {
  const { address, way, peer, kernel } = route;
  const line = (label: string, text: string): string => `  ${style.dim(label.padEnd(9))} ${text}`;
  const host = line('kernel', kernelText(kernel, style));
  const node = peer?.nodeName ? `${peer.nodeName} (${peer.publicIp})` : peer?.publicIp;
  switch (way) {
    case 'outside':
      return [
        `${style.bold(address)} is ${style.warn('outside the overlay')}${route.network ? ` (${route.network})` : ''}: the kernel's own routing decides`,
        host,
      ].join('\n');
    case 'own':
      return [
        `${style.bold(address)} is in ${style.good("this node's own subnet")} ${route.ownSubnet}: it stays on this host`,
        host,
      ].join('\n');
    case 'unleased':
      return [
        `${style.bold(address)} is ${style.bad('not leased by any node')}: weftd answers with ICMP unreachable (drop reason outNoRoute)`,
        line('network', route.network ?? '-'),
        host,
      ].join('\n');
    case 'direct':
      return [
        `${style.bold(address)} via ${style.good(peer?.publicIp ?? '')} by a plain route, not encapsulated`,
        line('peer', `${peer?.subnet} of ${node}`),
        host,
      ].join('\n');
    case 'peer':
      return [
        `${style.bold(address)} via ${style.good(peer?.publicIp ?? '')} dev ${kernel.device ?? '?'}`,
        ...(kernel.problem === null ? [] : [host]),
        line('peer', `${peer?.subnet} of ${node}`),
        ...encapsulationLines(route, line, style),
        line('mtu', `${route.mtu} bytes; pods get ${route.podMtu}`),
      ].join('\n');
  }
}

function encapsulationLines(
  { encapsulation: header, underlay }: RoutePage,
  line: (label: string, text: string) => string,
  style: Style,
): string[] {
  if (!header) return [];
  const { type, source, destination, port, overheadBytes } = header;
  const macs = header.destinationMac
    ? [line('ethernet', `${header.sourceMac ?? '?'} > ${header.destinationMac}`)]
    : [];
  const vni = header.vni === undefined ? '' : `, VNI ${header.vni}`;
  const what = `${kindNamed(type)?.label ?? type}${vni}`;
  return [
    line('header', `${what}, ${overheadBytes} bytes in front of each packet`),
    ...macs,
    line('outer', `${source ?? '?'} > ${destination}, UDP port ${port}`),
    ...(underlay ? [line('underlay', kernelText(underlay, style))] : []),
  ];
}

function kernelText({ device, gateway, source, problem }: KernelRoute, style: Style): string {
  if (problem !== null) return style.bad(problem);
  const via = gateway ? `via ${gateway} ` : '';
  return `${via}dev ${device ?? '?'}${source ? ` src ${source}` : ''}`;
}
