/** vxlan: RFC 7348 as Linux speaks it, so that weft and stock nodes mix (flannel pkg/backend/vxlan). */
import * as z from 'zod';
import { formatMac, type Mac, parseMac } from '../../shared/address.ts';
import { overheadBytes } from '../../wire/overhead.ts';
import { lowerKeys } from '../go-json.ts';
import type { LeaseAttributes } from '../lease/lease.ts';
import { refuse } from '../refuse.ts';
import type { Kind, PeerData, Tunnel } from './kind.ts';
import { COUNT, FLAG, PORT } from './option.ts';

export interface VxlanConfig {
  type: 'vxlan';
  vni: number;
  /** 8472 unless set */
  port: number;
  /** outer MTU in bytes; default is the interface's */
  mtu?: number;
  /** peers on the same link get a plain route */
  directRouting: boolean;
  /** accept packets with a group policy id (which is ignored) */
  gbp: boolean;
}

const USUAL_PORT = 8472;
const VNI_MAX = 2 ** 24 - 1;
const GBP_WARNING =
  'Backend.GBP: group policy ids are ignored, because a TUN device carries no marks';

const options = {
  VNI: COUNT.default(1),
  Port: PORT,
  MTU: COUNT.default(0),
  GBP: FLAG,
  Learning: FLAG, // as in flannel without effect where there is no bridge
  DirectRouting: FLAG,
};

export const VXLAN_KIND: Kind<VxlanConfig, typeof options> = {
  type: 'vxlan',
  publishes: 'vxlan',
  label: 'VXLAN',
  options,
  families: [4, 6],

  parse({ vni, port, mtu, directrouting, gbp }) {
    if (vni > VNI_MAX) refuse(`Backend.VNI ${vni} is larger than ${VNI_MAX}`);
    const config: VxlanConfig = {
      type: 'vxlan',
      vni,
      port: port || USUAL_PORT,
      directRouting: directrouting,
      gbp,
    };
    if (mtu > 0) config.mtu = mtu;
    return config;
  },

  overheadBytes: (family) => overheadBytes('vxlan', family),
  outerMtu: ({ mtu }) => mtu,

  devices: {
    linkKind: 'tun',
    names: /^flannel(-v6)?\.\d+$/,
    name: ({ vni }, family) => (family === 4 ? `flannel.${vni}` : `flannel-v6.${vni}`),
  },

  peerData,
  tunnel,
};

function peerData(
  config: VxlanConfig,
  { backendData, backendV6Data }: LeaseAttributes,
  family: 4 | 6,
): PeerData | string {
  const data = decodeData(family === 4 ? backendData : backendV6Data);
  if (!data) return 'BackendData without a valid VtepMAC';
  if (data.vni !== undefined && data.vni !== config.vni) return `VNI ${data.vni} is not ours`;
  return { port: config.port, mac: data.mac };
}

function tunnel({ vni, port, gbp, directRouting }: VxlanConfig): Tunnel {
  return {
    encap: { kind: 'vxlan', vni, port, gbp },
    // as stock VXLAN
    sockets: { anyAddress: true, spreadsFlows: true, dontFragment: false },
    vtep: {
      leaseData: (mac) => ({ VNI: vni, VtepMAC: formatMac(mac) }),
      macOf: (data) => decodeData(data)?.mac,
    },
    directRouting,
    gsoVni: vni,
    warnings: gbp ? [GBP_WARNING] : [],
  };
}

/** BackendData and BackendV6Data of a lease. VNI is absent in leases of old releases. */
interface VxlanData {
  vni?: number;
  mac: Mac;
}

const dataShape = z.object({ vni: z.number().int().optional(), vtepmac: z.string() });

/** undefined when it is no such data. Exported for tests. */
export function decodeData(data: unknown): VxlanData | undefined {
  const parsed = dataShape.safeParse(lowerKeys(data));
  const mac = parsed.success ? parseMac(parsed.data.vtepmac) : undefined;
  if (!parsed.success || !mac) return undefined;
  return parsed.data.vni === undefined ? { mac } : { mac, vni: parsed.data.vni };
}
