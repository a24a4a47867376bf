/** Lease values, to the byte as flannel writes them (pkg/lease LeaseAttrs through Go's encoding/json). */
import * as z from 'zod';
import { familyOf, formatAddress, parseAddress, type Words } from '../../shared/address.ts';
import { STORE_VALUE_BYTES_MAX } from '../../shared/limits.ts';
import { goJson, lowerKeys } from '../go-json.ts';
import type { LeaseAttributes } from './lease.ts';

export function encodeValue(attributes: LeaseAttributes): string {
  const value: Record<string, unknown> = {
    PublicIP: attributes.publicIp4 ? formatAddress(attributes.publicIp4) : '0.0.0.0',
    PublicIPv6: attributes.publicIp6 ? formatAddress(attributes.publicIp6) : null,
  };
  if (attributes.backendType !== '') value['BackendType'] = attributes.backendType;
  if (attributes.backendData !== undefined) value['BackendData'] = attributes.backendData;
  if (attributes.backendV6Data !== undefined) value['BackendV6Data'] = attributes.backendV6Data;
  return goJson(value);
}

const shape = z.object({
  publicip: z.string().default(''),
  publicipv6: z.string().nullish(),
  backendtype: z.string().default(''),
  backenddata: z.unknown().optional(),
  backendv6data: z.unknown().optional(),
});

/** undefined when the text is no lease value: junk is skipped, never fatal. */
export function decodeValue(text: string): LeaseAttributes | undefined {
  if (text.length > STORE_VALUE_BYTES_MAX) return undefined;
  const parsed = shape.safeParse(lowerKeys(parseJson(text)));
  if (!parsed.success) return undefined;
  const raw = parsed.data;
  const attributes: LeaseAttributes = { backendType: raw.backendtype };
  const ip4 = raw.publicip === '' ? undefined : parseAddress(raw.publicip);
  if (raw.publicip !== '' && (!ip4 || familyOf(ip4) !== 4)) return undefined;
  if (ip4 && raw.publicip !== '0.0.0.0') attributes.publicIp4 = ip4;
  const ip6 = raw.publicipv6 ? parseAddress(raw.publicipv6) : undefined;
  if (raw.publicipv6 && (!ip6 || familyOf(ip6) !== 6)) return undefined;
  if (ip6) attributes.publicIp6 = ip6 as Words;
  if (raw.backenddata !== undefined) attributes.backendData = raw.backenddata;
  if (raw.backendv6data !== undefined) attributes.backendV6Data = raw.backendv6data;
  return attributes;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
