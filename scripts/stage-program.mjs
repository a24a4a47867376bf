/**
 * Lays the program alone, without unit and man pages, below a folder: what the container image takes over. After a build.
 *   node scripts/stage-program.mjs FOLDER
 */
import { stageProgram } from '../dist/src/cli/install/stage.js';

const [folder] = process.argv.slice(2);
if (!folder) {
  process.stderr.write('usage: node scripts/stage-program.mjs FOLDER\n');
  process.exit(64);
}
await stageProgram(folder);
