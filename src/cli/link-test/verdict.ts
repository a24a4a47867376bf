/** The answer to "is the pods' MTU right for this path?" in plain language. */
import { mtuAdvice, overheadOf } from './mtu-advice.ts';
import { type PathResult, packetBytes } from './path-mtu.ts';

export interface MtuFacts {
  family: 4 | 6;
  backend: string;
  /** the underlay interface's name */
  interface: string;
  /** what pods are told */
  podMtu: number;
  underlay: { to: PathResult; from: PathResult };
  overlay: { to: PathResult; from: PathResult };
}

export interface Verdict {
  /** null: could not be measured */
  fits: boolean | null;
  text: string;
}

export function judgeMtu(facts: MtuFacts): Verdict {
  const { family, podMtu } = facts;
  const needed = podMtu + overheadOf(facts.backend, family);
  const underlay = smallest(facts.underlay, family);
  const overlay = smallest(facts.overlay, family);
  const told = `pods get MTU ${podMtu}`;
  if (underlay.bytes !== undefined && underlay.bytes < needed) {
    const splits =
      overlay.bytes !== undefined && overlay.bytes >= podMtu
        ? 'their largest packets arrive only in fragments'
        : 'their largest packets get lost';
    const text = `${told}, which needs ${needed} on the underlay; it carries only ${underlay.bytes} ${underlay.where}: ${splits}`;
    return {
      fits: false,
      text: `${text}; ${mtuAdvice(facts.backend, facts.interface, underlay.bytes)}`,
    };
  }
  if (overlay.bytes !== undefined && overlay.bytes < podMtu) {
    const text = `${told}, but the overlay carries only ${overlay.bytes} ${overlay.where}`;
    const fitting = overlay.bytes + overheadOf(facts.backend, family);
    return { fits: false, text: `${text}; ${mtuAdvice(facts.backend, facts.interface, fitting)}` };
  }
  const unknown = [
    ...underlay.reasons.map((reason) => `underlay ${reason}`),
    ...overlay.reasons.map((reason) => `overlay ${reason}`),
  ];
  if (unknown.length > 0)
    return { fits: null, text: `${told}; not all could be measured: ${unknown.join('; ')}` };
  const spare = `the underlay carries ${underlay.bytes}, ${needed} are needed`;
  return { fits: true, text: `${told}; the path carries ${overlay.bytes}: good (${spare})` };
}

/** The worse direction in bytes of whole IP packets; bytes is undefined unless at least one was measured. */
function smallest(
  path: { to: PathResult; from: PathResult },
  family: 4 | 6,
): { bytes: number | undefined; where: string; reasons: string[] } {
  const sizes = (['to', 'from'] as const).flatMap((direction) => {
    const result = path[direction];
    if ('why' in result) return [];
    return [{ direction, bytes: packetBytes(result.payloadBytes, family) }];
  });
  const reasons = [
    ...('why' in path.to ? [`to the peer: ${path.to.why}`] : []),
    ...('why' in path.from ? [`from the peer: ${path.from.why}`] : []),
  ];
  const least = sizes.sort((a, b) => a.bytes - b.bytes)[0];
  if (!least) return { bytes: undefined, where: '', reasons };
  const both = sizes.length === 2 && sizes.every((size) => size.bytes === least.bytes);
  return { bytes: least.bytes, where: both ? 'both ways' : `${least.direction} the peer`, reasons };
}
