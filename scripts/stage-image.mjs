/**
 * Lays below a folder what the container image has besides its base: the program, and the links to it. After a build.
 *   node scripts/stage-image.mjs FOLDER
 */
import { stageImage } from '../dist/src/cli/install/stage.js';

const [folder] = process.argv.slice(2);
if (!folder) {
  process.stderr.write('usage: node scripts/stage-image.mjs FOLDER\n');
  process.exit(64);
}
await stageImage(folder);
