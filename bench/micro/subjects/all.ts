/** Every case, in the order of a packet's way; then what the control thread does, then the comparison with lru-cache. */
import type { Case } from '../case.ts';
import { checksumCases } from './checksum.ts';
import { coalescingCases } from './coalescing.ts';
import { encapsulationCases } from './encapsulation.ts';
import { gateCases } from './gate.ts';
import { lruCacheCases } from './lru-cache.ts';
import { publicationCases } from './publication.ts';
import { routeCases } from './routes.ts';
import { segmentationCases } from './segmentation.ts';
import { sourceCheckCases } from './source-check.ts';
import { startCases } from './start.ts';
import { wholeCases } from './whole.ts';

export function allCases(): Case[] {
  return [
    ...gateCases(),
    ...routeCases(),
    ...encapsulationCases(),
    ...checksumCases(),
    ...segmentationCases(),
    ...sourceCheckCases(),
    ...coalescingCases(),
    ...wholeCases(),
    ...publicationCases(),
    ...startCases(),
    ...lruCacheCases(),
  ];
}
