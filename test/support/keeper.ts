/** The keeper of descriptors, as it is installed and for finding mistakes. */
import path from 'node:path';
import { projectRoot } from '../../src/shared/root.ts';

const built = path.join(projectRoot(), 'native/build/keeper');
export const KEEPER = path.join(built, 'weft-keeper');
/** With AddressSanitizer and UndefinedBehaviorSanitizer: what goes wrong in it ends it. */
export const SANITIZED_KEEPER = path.join(built, 'weft-keeper-asan');
