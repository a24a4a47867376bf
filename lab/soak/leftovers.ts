/** At the end: every daemon ends by SIGTERM, `weft cleanup` removes what it left, and nothing of it is there any more. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Lab } from '../lab.ts';
import { projectBinary } from '../root.ts';
import type { WeftNode } from '../weft-node.ts';

const CLEANUP_MS = 60_000;

/** Returns what stayed. */
export async function endAndCleanUp(lab: Lab): Promise<string[]> {
  const found: string[] = [];
  for (const node of lab.weftNodes) {
    await node.stop();
    if (node.exit !== 'exit code 0')
      found.push(`weftd of ${node.name} did not end well: ${node.exit}`);
    found.push(...(await cleanUp(node)));
  }
  return found;
}

async function cleanUp(node: WeftNode): Promise<string[]> {
  const { namespace, name } = node;
  const words = [
    projectBinary('weft'),
    'cleanup',
    `--admin-socket=${node.adminSocket}`,
    `--subnet-file=${node.subnetFile}`,
    `--state-dir=${node.stateDir}`,
  ];
  const done = await namespace.exec(process.execPath, words, {
    allowFailure: true,
    timeoutMs: CLEANUP_MS,
  });
  const found = done.code === 0 ? [] : [`weft cleanup on ${name}: ${done.stderr.trim()}`];
  const looks: [string, string[], RegExp][] = [
    ['nft', ['list', 'ruleset'], /flannel/i],
    ['ip', ['route'], /proto 86|flannel/],
    ['ip', ['-6', 'route'], /proto 86|flannel/],
    ['ip', ['link'], /flannel|weft\.\d/],
  ];
  for (const [command, args, trace] of looks) {
    const { stdout } = await namespace.exec(command, args);
    const line = stdout.split('\n').find((text) => trace.test(text));
    if (line !== undefined)
      found.push(`left on ${name} (${command} ${args.join(' ')}): ${line.trim()}`);
  }
  for (const file of [node.subnetFile, node.adminSocket, path.join(node.stateDir, 'state.json')])
    if (existsSync(file)) found.push(`left on ${name}: ${file}`);
  return found;
}
