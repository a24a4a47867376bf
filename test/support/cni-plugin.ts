/** The CNI plugin with a stand-in for the plugins it delegates to, as a container runtime runs it. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { projectRoot } from '../../src/shared/root.ts';

/** What the plugin's build needs besides a compiler; for `needs`. */
export const JANSSON = '/usr/include/jansson.h';

const built = path.join(projectRoot(), 'native/build/cni');
/** As it is installed. */
export const PLUGIN = path.join(built, 'flannel');
/** With AddressSanitizer and UndefinedBehaviorSanitizer: what goes wrong in it ends it. */
export const SANITIZED_PLUGIN = path.join(built, 'flannel-asan');

export type Json = Record<string, unknown>;

/** What a delegate was asked. */
export interface DelegateCall {
  command: string;
  plugin: string;
  containerID: string;
  ifname: string;
  config: Json;
}

export interface Answer {
  exit: number | null;
  /** parsed, '' when nothing was printed */
  stdout: Json | '';
  stderr: string;
}

/** Writes down what it is asked, and answers ADD with the file `answer`; with a file `fails` it fails with that. */
const RECORDING_DELEGATE = `#!/bin/sh
here=\${0%/*}
number=$(ls "$here/calls" | grep -c config)
cat > "$here/calls/$number.config"
printf '%s\\n' "$CNI_COMMAND" "\${0##*/}" "$CNI_CONTAINERID" "$CNI_IFNAME" > "$here/calls/$number.call"
if [ -e "$here/fails" ]; then cat "$here/fails"; exit 1; fi
if [ "$CNI_COMMAND" = ADD ]; then cat "$here/answer"; fi
`;

const RESULT = { cniVersion: '1.0.0', interfaces: [], ips: [], routes: [] };

/** A node with the plugin: its subnet.env, state and delegates lie in one folder. */
export class PluginHost {
  readonly folder: string;
  readonly subnetFile: string;
  readonly dataDir: string;
  private readonly plugins: string;
  private readonly calls: string;
  private readonly program: string;

  /** `folder` is empty and the test's; the program is one of the two builds. */
  constructor(folder: string, program: string = PLUGIN) {
    this.folder = folder;
    this.program = program;
    this.subnetFile = path.join(folder, 'subnet.env');
    this.dataDir = path.join(folder, 'data');
    this.plugins = path.join(folder, 'plugins');
    this.calls = path.join(this.plugins, 'calls');
    mkdirSync(this.calls, { recursive: true });
    for (const name of ['bridge', 'macvlan']) this.writeDelegate(name, RECORDING_DELEGATE);
    this.answerWith(RESULT);
    this.writeSubnetEnv();
  }

  /** A plugin of another kind: a script. */
  writeDelegate(name: string, script: string): void {
    writeFileSync(path.join(this.plugins, name), script);
    chmodSync(path.join(this.plugins, name), 0o755);
  }

  writeSubnetEnv(text = NODE_SUBNET_ENV): void {
    writeFileSync(this.subnetFile, text);
  }

  /** What the delegate prints for ADD; a string as it is. */
  answerWith(answer: unknown): void {
    writeFileSync(path.join(this.plugins, 'answer'), textOf(answer));
  }

  /** From now on every call of the delegate fails with this error; nothing: it works again. */
  failWith(error?: unknown): void {
    const file = path.join(this.plugins, 'fails');
    if (error === undefined) rmSync(file, { force: true });
    else writeFileSync(file, textOf(error));
  }

  /** Runs the plugin. A config that is an object gets this node's files; a string goes in as it is. */
  run(command: string, config: Json | string = {}, environment: NodeJS.ProcessEnv = {}): Answer {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: 'c1',
      CNI_IFNAME: 'eth0',
      CNI_NETNS: '/var/run/netns/x',
      CNI_PATH: this.plugins,
      PATH: process.env['PATH'],
      TMPDIR: tmpdir(),
      UBSAN_OPTIONS: 'print_stacktrace=1',
      ...environment,
    };
    const input = typeof config === 'string' ? config : JSON.stringify(this.configOf(config));
    const done = spawnSync(this.program, [], { env, input, encoding: 'utf8', timeout: 60_000 });
    return {
      exit: done.status,
      stdout: done.stdout === '' ? '' : JSON.parse(done.stdout),
      stderr: done.stderr,
    };
  }

  private configOf(config: Json): Json {
    const files = { subnetFile: this.subnetFile, dataDir: this.dataDir };
    return { cniVersion: '1.1.0', name: 'cbr0', type: 'flannel', ...files, ...config };
  }

  /** The calls since the last look, in their order. */
  takeCalls(): DelegateCall[] {
    const names = readdirSync(this.calls).filter((name) => name.endsWith('.call'));
    const read = (name: string): string => readFileSync(path.join(this.calls, name), 'utf8');
    const numbers = names.map((name) => Number.parseInt(name, 10)).sort((a, b) => a - b);
    const calls = numbers.map((number) => {
      const [command = '', plugin = '', containerID = '', ifname = ''] = read(
        `${number}.call`,
      ).split('\n');
      return { command, plugin, containerID, ifname, config: JSON.parse(read(`${number}.config`)) };
    });
    for (const name of readdirSync(this.calls)) rmSync(path.join(this.calls, name));
    return calls;
  }

  /** The state files, by name. */
  saved(): Record<string, { mode: string; content: string }> {
    if (!existsSync(this.dataDir)) return {};
    return Object.fromEntries(
      readdirSync(this.dataDir)
        .sort()
        .map((name) => {
          const file = path.join(this.dataDir, name);
          const mode = `0o${(statSync(file).mode & 0o7777).toString(8)}`;
          return [name, { mode, content: readFileSync(file, 'utf8') }];
        }),
    );
  }

  writeState(name: string, content: string): void {
    mkdirSync(this.dataDir, { recursive: true, mode: 0o700 });
    writeFileSync(path.join(this.dataDir, name), content, { mode: 0o600 });
  }
}

/** A node's file as weftd writes it. */
export const NODE_SUBNET_ENV =
  'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.5.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n';

const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value);
