/** The option table as a page and as a man page: flags, environment, defaults and meaning from one source. */
import { allowedText, environmentName, helpOf, OPTIONS, type Option } from './options.ts';

const GROUPS = [
  { group: 'flannel', title: "flannel's flags" },
  { group: 'weft', title: "weft's own flags" },
] as const;

function initialOf(option: Option): string {
  return Array.isArray(option.initial) || option.initial === '' ? '' : String(option.initial);
}

/** What it takes, as exactly as the table says it. */
function valuesOf(option: Option): string {
  return allowedText(option) || (option.kind === 'list' ? 'string, repeatable' : option.kind);
}

/** docs/reference/options.md */
export function renderOptionsPage(): string {
  const sections = GROUPS.flatMap(({ group, title }) => [
    `## ${title[0]?.toUpperCase()}${title.slice(1)}`,
    '',
    '| flag | environment | values | default | meaning |',
    '|---|---|---|---|---|',
    ...OPTIONS.filter((option) => option.group === group).map((option) => {
      const cells = [
        `\`--${option.name}\``,
        `\`${environmentName(option)}\``,
        valuesOf(option),
        initialOf(option) === '' ? '' : `\`${initialOf(option)}\``,
        option.help,
      ];
      return `| ${cells.join(' | ')} |`;
    }),
    '',
  ]);
  return [
    '# Options of weftd',
    '',
    'Written by `node scripts/docs.mjs` from the table in `src/options/options.ts`.',
    '',
    "Go's spellings work: one dash or two, `-flag=value` or `-flag value`; booleans take a value only with `=`. A flag on the command line",
    'wins over the environment, the environment over the default. Empty variables count as unset; a bad value in the environment is',
    'reported and ignored, on the command line it ends the program with exit code 2.',
    '',
    ...sections,
  ].join('\n');
}

/** deploy/systemd/default: every option as a variable, commented out. */
export function renderDefaults(): string {
  const blocks = OPTIONS.filter((option) => !option.isInert).flatMap((option) => [
    `# ${helpOf(option)}`,
    `#${environmentName(option)}=${initialOf(option)}`,
    '',
  ]);
  return [
    '# Settings of weftd, read by systemd: NAME=value, no shell. Take the "#" away in front of what you change, then:',
    '#   systemctl restart weftd',
    '# A variable that is empty or missing has the default that stands here. "weft config check --env-file" checks this file.',
    '',
    ...blocks,
  ].join('\n');
}

/** docs/man/weftd.8 */
export function renderManPage(version: string): string {
  const troff = (text: string): string => text.replaceAll('\\', '\\e').replaceAll('-', '\\-');
  const options = (group: Option['group']): string[] =>
    OPTIONS.filter((option) => option.group === group).flatMap((option) => {
      const initial = initialOf(option);
      return [
        '.TP',
        `.BI \\-\\-${troff(option.name)} = ${option.kind === 'list' ? 'string' : option.kind}`,
        `${troff(helpOf(option))}.${initial === '' ? '' : ` Default: ${troff(initial)}.`} Environment: ${environmentName(option)}.`,
      ];
    });
  return [
    `.TH WEFTD 8 "" "weft ${version}" "System Manager's Manual"`,
    '.SH NAME',
    'weftd \\- overlay network daemon compatible with flanneld, with a userspace data plane',
    '.SH SYNOPSIS',
    '.B weftd',
    '.RI [ flags ]',
    '.SH DESCRIPTION',
    'Leases a pod subnet for this node from etcd or a directory, writes it for CNI plugins and Docker, and carries the',
    "pods' packets to the other nodes. It takes the flags, the environment, the keys and the files of flanneld.",
    '.PP',
    'Flags may have one dash or two. A value follows "=" or is the next word; booleans take one only with "=".',
    ...GROUPS.flatMap(({ group, title }) => [`.SH ${title.toUpperCase()}`, ...options(group)]),
    '.SH SIGNALS',
    '.TP',
    '.B SIGTERM, SIGINT',
    'End in order; a second one ends at once. The lease, plain routes, firewall rules and the subnet file stay.',
    '.TP',
    '.B SIGHUP',
    'Look at the store again, without interrupting traffic.',
    '.SH FILES',
    '.TP',
    '.I /run/flannel/subnet.env',
    'the subnet, for CNI plugins and Docker',
    '.TP',
    '.I /var/lib/weft/state.json',
    'the VTEP MACs, which survive a restart',
    '.TP',
    '.I /var/lib/weft/memory.json',
    'what a start uses when the store does not answer',
    '.TP',
    '.I /run/weft/weft.sock',
    'the socket that',
    '.BR weft (1)',
    'asks',
    '.SH EXIT STATUS',
    '0 stopped by a signal; 1 no lease, no interface, unknown backend; 2 bad command line; 69 the store can not be used;',
    '70 internal error; 71 the operating system lacks something; 75 what it runs with is no longer valid: start it again;',
    '77 no permission; 78 the network config can not be used.',
    '.SH SEE ALSO',
    '.BR weft (1),',
    '.BR ip (8),',
    '.BR iptables (8),',
    '.BR nft (8)',
    '',
  ].join('\n');
}
