/** weft ping PEER --sweep: the largest inner packet that crosses, there and back, and whether pods' MTU fits it. */
import * as z from 'zod';
import { type PingPage, pingedShape } from '../../api/ping.ts';
import { SCHEMA_VERSION } from '../../api/version.ts';
import { mtuAdvice, overheadOf } from '../link-test/mtu-advice.ts';
import { packetBytes, searchPayload } from '../link-test/path-mtu.ts';
import type { Style } from '../style.ts';

/** A lost packet must not pass for one that was too large. */
const TRIES = 3;

export const sweepShape = z.looseObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  peer: pingedShape,
  /** bytes of the inner IP packet; null when not even a small one is answered */
  largestPacketBytes: z.number().nullable(),
  deviceMtu: z.number().nullable(),
  podMtu: z.number().nullable(),
  underlayMtu: z.number().nullable(),
  /** whether what pods are told crosses in one piece; null = unknown */
  fits: z.boolean().nullable(),
  text: z.string(),
});
export type Sweep = z.infer<typeof sweepShape>;

export interface SweepFacts {
  backend: string;
  family: 4 | 6;
  interface: string;
  podMtu: number;
  underlayMtu: number;
}

/** Echoes of different sizes; `send` gives one of this payload. */
export async function sweep(
  backend: string,
  underlay: string,
  send: (payloadBytes: number) => Promise<PingPage>,
): Promise<Sweep> {
  const first = await send(56);
  const { peer, deviceMtu, podMtu, underlayMtu } = first;
  const { family } = peer;
  const probe = async (payloadBytes: number) => {
    for (let i = 0; i < TRIES; i++) {
      const [echo] = (await send(payloadBytes)).echoes;
      if (echo?.state === 'answered') return { arrived: true } as const;
      if (echo?.state === 'refused')
        return { arrived: false, ...(echo.mtu !== null && { mtu: echo.mtu }) } as const;
    }
    return { arrived: false } as const;
  };
  const found = await searchPayload(probe, family, deviceMtu ?? 1500);
  const largest = 'why' in found ? null : packetBytes(found.payloadBytes, family);
  const base = { schemaVersion: SCHEMA_VERSION, peer, deviceMtu, podMtu, underlayMtu } as const;
  if (podMtu === null || underlayMtu === null)
    return { ...base, largestPacketBytes: largest, fits: null, text: 'the daemon names no MTU' };
  const facts = { backend, family, interface: underlay, podMtu, underlayMtu };
  return { ...base, largestPacketBytes: largest, ...judge(largest, facts) };
}

/** Whether pods' packets cross, in one piece. */
export function judge(
  largest: number | null,
  facts: SweepFacts,
): { fits: boolean | null; text: string } {
  const { backend, family, podMtu, underlayMtu } = facts;
  if (largest === null) return { fits: null, text: 'not even small packets are answered' };
  const overhead = overheadOf(backend, family);
  const advice = (outerBytes: number): string => mtuAdvice(backend, facts.interface, outerBytes);
  const told = `pods get MTU ${podMtu}`;
  if (largest < podMtu) {
    const text = `${told}, but only ${largest} bytes cross: larger packets get lost; ${advice(largest + overhead)}`;
    return { fits: false, text };
  }
  if (podMtu + overhead > underlayMtu) {
    const text = `${told}, which needs ${podMtu + overhead} on ${facts.interface}; it carries ${underlayMtu}: large packets leave in fragments; ${advice(underlayMtu)}`;
    return { fits: false, text };
  }
  return { fits: true, text: `${told}: fits` };
}

export function renderSweep(found: Sweep, style: Style): string {
  const { peer, largestPacketBytes, deviceMtu } = found;
  const largest = largestPacketBytes === null ? '-' : `${largestPacketBytes} bytes`;
  const verdict = found.fits === true ? style.good(found.text) : style.bad(found.text);
  return [
    `to ${peer.address} on node ${peer.publicIp}, IPv${peer.family}, never in fragments inside the overlay`,
    `largest packet that comes back  ${largest}`,
    `MTU of the overlay's device     ${deviceMtu ?? '-'}`,
    verdict,
  ].join('\n');
}
