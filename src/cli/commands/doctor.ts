/** weft doctor: what is wrong on this node, and what to do about it; with and without a running daemon. */
import { readFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { SCHEMA_VERSION } from '../../api/version.ts';
import { EXIT, WeftError } from '../../shared/errors.ts';
import { fetchPage } from '../client.ts';
import { answerShape, type DoctorAnswer } from '../doctor/answer.ts';
import { renderDoctor } from '../doctor/render.ts';
import { CHECKS, noticeOf, type Result, runChecks } from '../doctor/run.ts';
import { type Judged, judgeFile, settingsOfProcess } from '../doctor/settings.ts';
import { Site } from '../doctor/site.ts';
import { addShow, type OnExit, type ShowOptions } from '../show.ts';

const ENVIRONMENT_FILE = '/etc/default/weftd';

interface Extra {
  only?: string[];
  list?: boolean;
  envFile?: string;
}

export function addDoctor(program: Command, onExit: OnExit): void {
  const command: Command = addShow<typeof answerShape, Extra>(program, onExit, {
    name: 'doctor',
    description: 'what is wrong on this node, and what to do about it; works without a daemon too',
    argument: ['[flags...]', "behind --: weftd's flags, judged as the daemon would take them"],
    options: (added) =>
      added
        .option('--only <ids>', 'only these checks (comma-separated)', parseIds)
        .option('--list', 'the checks, without running them')
        .option('--env-file <path>', `FLANNELD_ variables (default: ${ENVIRONMENT_FILE})`),
    help: 'Exit code 1 when a check failed. The settings are those behind --, else those of the running daemon, else --env-file.',
    shape: answerShape,
    answer: async (options, flags) => {
      const isSocketGiven = command.getOptionValueSource('adminSocket') === 'cli';
      const words = (flags as unknown as string[] | undefined) ?? [];
      return answer(options, words, isSocketGiven);
    },
    render: renderDoctor,
    exitCode: ({ summary, checks }) =>
      summary.fail > 0 && checks.some(({ status }) => status === 'fail') ? 1 : 0,
  });
}

async function answer(
  options: ShowOptions & Extra,
  words: readonly string[],
  isSocketGiven: boolean,
): Promise<DoctorAnswer> {
  const { only } = options;
  const checks = only ? CHECKS.filter(({ id }) => only.includes(id)) : CHECKS;
  if (options.list) {
    const rows = checks.map(({ id, group, severity, title }) => {
      return { id, group, status: 'skipped' as const, severity, title, text: 'listed', fix: null };
    });
    return answerOf('not read', rows);
  }
  const judged = await judgedSettings(options, words);
  const socket =
    isSocketGiven || !judged.settings ? options.adminSocket : judged.settings.adminSocket;
  return answerOf(judged.origin, await runChecks(new Site(judged, socket), checks));
}

function answerOf(settings: string, checks: readonly Result[]): DoctorAnswer {
  const summary = { ok: 0, warn: 0, fail: 0, skipped: 0 };
  for (const { status } of checks) summary[status]++;
  const notice = noticeOf(checks);
  return {
    schemaVersion: SCHEMA_VERSION,
    settings,
    ...(notice && { notice }),
    checks: [...checks],
    summary,
  };
}

function parseIds(text: string): string[] {
  const ids = text.split(',').map((id) => id.trim());
  const unknown = ids.find((id) => !CHECKS.some((check) => check.id === id));
  if (unknown === undefined) return ids;
  throw new InvalidArgumentError(`No check is called ${unknown}; see weft doctor --list.`);
}

async function judgedSettings(
  { adminSocket, envFile }: ShowOptions & Extra,
  words: readonly string[],
): Promise<Judged> {
  if (words.length === 0 && envFile === undefined) {
    const status = await fetchPage(adminSocket, '/status').catch(() => ({ pid: undefined }));
    const running = await settingsOfProcess(Number(status.pid));
    if (running) return running;
  }
  const file = envFile ?? ENVIRONMENT_FILE;
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (envFile === undefined) return undefined;
    const message = `doctor: ${file} can't be read (${(error as NodeJS.ErrnoException).code})`;
    throw new WeftError('ERR_ENVIRONMENT_FILE', EXIT.failure, message);
  });
  return judgeFile(words, text === undefined ? undefined : { name: file, text }, process.env);
}
