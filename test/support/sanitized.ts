/** Runs a compiled program of the tests in a child node, with the sanitizer build of the native layer. */
import { execFile, execFileSync } from 'node:child_process';
import path from 'node:path';
import { projectRoot } from '../../src/shared/root.ts';

export interface Result {
  code: number;
  output: string;
}

/** `program` is a name in test/support/programs. */
export function runProgram(
  program: string,
  args: readonly string[],
  node: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<Result> {
  const file = path.join(projectRoot(), 'dist/test/support/programs', `${program}.js`);
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, timeout: 240_000, maxBuffer: 1 << 24 };
    execFile(process.execPath, [...node, file, ...args], options, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === 'number' ? error.code : 1) : 0;
      resolve({ code, output: stdout + stderr });
    });
  });
}

/** The same under AddressSanitizer and UndefinedBehaviorSanitizer; leaks of node itself are not looked at. */
export function runSanitized(program: string, args: readonly string[]): Promise<Result> {
  const library = execFileSync('cc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  return runProgram(program, args, [], {
    LD_PRELOAD: library,
    WEFT_ADDON: path.join(projectRoot(), 'native/build/weft-asan.node'),
    ASAN_OPTIONS: 'detect_leaks=0',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  });
}
