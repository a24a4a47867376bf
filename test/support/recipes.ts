/**
 * The recipes of CONTRIBUTING.md as what they make: for each a sample, its new files taken from this folder's toys and its lines in
 * files that are there. A test applies all of them to a copy of the tree.
 */

export interface NewFile {
  /** in test/support */
  from: string;
  to: string;
}

export interface Line {
  file: string;
  /** a text that stands in the file once */
  at: string;
  /** what takes its place */
  with: string;
}

export interface Recipe {
  /** heading in CONTRIBUTING.md */
  heading: string;
  newFiles: readonly NewFile[];
  lines: readonly Line[];
  /** pages that scripts/docs.mjs writes anew */
  generated: readonly string[];
}

/** An import goes in front of the first one that stands in the file. */
const importOf = (file: string, line: string): Line => ({
  file,
  at: '\nimport ',
  with: `\n${line}\nimport `,
});

export const RECIPES: readonly Recipe[] = [
  {
    heading: 'Add a backend',
    newFiles: [
      { from: 'toy-kind.ts', to: 'src/cluster/kinds/toy.ts' },
      { from: 'toy-backend.ts', to: 'src/control/backend/toy.ts' },
    ],
    lines: [
      importOf('src/cluster/kinds/all.ts', "import { TOY_KIND } from './toy.ts';"),
      {
        file: 'src/cluster/kinds/all.ts',
        at: 'EXTENSION_KIND] as const',
        with: 'EXTENSION_KIND, TOY_KIND] as const',
      },
      importOf('src/control/backend/create.ts', "import { ToyBackend } from './toy.ts';"),
      {
        file: 'src/control/backend/create.ts',
        at: '  extension: ExtensionBackend,',
        with: '  extension: ExtensionBackend,\n  toy: ToyBackend,',
      },
    ],
    generated: [],
  },
  {
    heading: 'Add a registry',
    newFiles: [{ from: 'toy-registry.ts', to: 'src/cluster/toy/registry.ts' }],
    lines: [
      importOf(
        'src/cluster/create-registry.ts',
        "import { ToyRegistry } from './toy/registry.ts';",
      ),
      {
        file: 'src/cluster/create-registry.ts',
        at: 'StoreSettings | KubernetesSettings;',
        with: "StoreSettings | KubernetesSettings | { kind: 'toy' };",
      },
      {
        file: 'src/cluster/create-registry.ts',
        at: '  return new KeyedRegistry(',
        with: "  if (settings.kind === 'toy') return new ToyRegistry();\n  return new KeyedRegistry(",
      },
      {
        file: 'src/options/settings.ts',
        at: "  if (store !== 'etcd') refuse(",
        with: "  if (store === 'toy') return { kind: 'toy' };\n  if (store !== 'etcd') refuse(",
      },
    ],
    generated: [],
  },
  {
    heading: 'Add an encapsulation',
    newFiles: [{ from: 'toy-encap.ts', to: 'src/dataplane/encap/toy.ts' }],
    lines: [
      {
        file: 'src/memory/worker-task.ts',
        at: 'EncapTask = VxlanTask | FlannelUdpTask;',
        with: `EncapTask = VxlanTask | FlannelUdpTask | ToyTask;

export interface ToyTask {
  kind: 'toy';
  port: number;
  indexes: readonly number[];
  isSealed: boolean;
}`,
      },
      importOf('src/dataplane/encap/encapsulations.ts', "import { ToyEncap } from './toy.ts';"),
      {
        file: 'src/dataplane/encap/encapsulations.ts',
        at: '  udp: (task, link, table) => new FlannelUdpEncap(task, link, table),',
        with: `  udp: (task, link, table) => new FlannelUdpEncap(task, link, table),
  toy: (task, _link, table) => new ToyEncap(task, table),`,
      },
    ],
    generated: [],
  },
  {
    heading: 'Add a check to the doctor',
    newFiles: [],
    lines: [
      {
        file: 'src/cli/doctor/host-checks.ts',
        at: 'export const HOST_CHECKS: readonly Check[] = [',
        with: `export const HOST_CHECKS: readonly Check[] = [
  {
    id: 'toy-check',
    group: 'host',
    severity: 'info',
    title: 'a toy',
    run: () => ok('there'),
  },`,
      },
    ],
    generated: ['docs/reference/doctor.md'],
  },
  {
    heading: 'Add a drop reason',
    newFiles: [],
    lines: [
      {
        file: 'src/memory/drops.ts',
        at: '} satisfies Record<string, DropReason>;',
        with: `  inToy: {
    direction: 'inbound',
    text: 'a toy is not a packet',
    advice: 'put it away',
  },
} satisfies Record<string, DropReason>;`,
      },
    ],
    generated: ['docs/reference/drops.md'],
  },
];

/** Where a toy's neighbours lie once they are in their rooms. */
const IN_ROOMS: readonly [from: string, to: string][] = [
  ["'./toy-kind.ts'", "'../../cluster/kinds/toy.ts'"],
  ["'./toy-task.ts'", "'../../memory/worker-task.ts'"],
  ["'../../src/", "'../../"],
];

/** A toy's text as it is in its room. */
export function inItsRoom(text: string): string {
  return IN_ROOMS.reduce((moved, [from, to]) => moved.replaceAll(from, to), text);
}

/** Files that the recipe names, of the numbered list under its heading. NAME stands for what is added. */
export function filesNamedIn(contributing: string, heading: string): string[] {
  const [, section = ''] = contributing.split(`### ${heading}\n`);
  const [own = ''] = section.split(/^#{2,3} /m);
  return [...own.matchAll(/^\d+\. `([^`]+)`/gm)].map(([, file = '']) =>
    file.replaceAll('NAME', 'toy'),
  );
}
