/** weft top: traffic, peers, workers and drops, live; lines of text where there is no terminal. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import * as z from 'zod';
import { historyShape, type Sample, sampleShape } from '../../api/history.ts';
import { SCHEMA_VERSION } from '../../api/version.ts';
import { messageOf } from '../../shared/errors.ts';
import { printable } from '../../shared/printable.ts';
import { verdictOf } from '../health-text.ts';
import { peerFactsShape, type Status, statusShape } from '../pages.ts';
import { renderAmount, renderBits } from '../render.ts';
import { adminSocketOption, colorOption, fetchShape, type OnExit, promiseShape } from '../show.ts';
import { type ColorChoice, chooseStyle } from '../style.ts';
import { type Poll, TopModel } from '../top/model.ts';
import { renderTop } from '../top/render.ts';
import { type Key, Terminal } from '../top/terminal.ts';

interface Options {
  adminSocket: string;
  color: ColorChoice;
  interval: number;
  count?: number;
  json?: boolean;
}

/** One line of --json. */
const lineShape = z.looseObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  healthy: z.boolean(),
  peers: z.number(),
  sample: sampleShape.nullable(),
});

const SCROLL_SECONDS = 10;

const HELP = `
Keys: space pauses and resumes, left and right scroll the history while paused, s changes the sort order, q quits.
If the output is not a terminal: one line of text per interval.`;

export function addTop(program: Command, onExit: OnExit): void {
  const command = program
    .command('top')
    .description('traffic, peers, workers and drops, live')
    .option('--json', 'one object a line, with a stable schema')
    .option('--interval <seconds>', 'seconds between updates', numberIn(0.1, 3600), 1)
    .option('--count <number>', 'stop after this many updates', numberIn(1, 1e9))
    .addOption(colorOption())
    .addOption(adminSocketOption())
    .addHelpText('after', HELP)
    .exitOverride();
  promiseShape(command, lineShape);
  command.action(async (options: Options) => {
    const isLive = process.stdout.isTTY && process.stdin.isTTY && !options.json;
    onExit(await (isLive ? runLive(options) : runLines(options)));
  });
}

async function poll(socket: string): Promise<Poll> {
  const [status, history, peers] = await Promise.all([
    fetchShape(socket, '/status', statusShape),
    fetchShape(socket, '/history', historyShape),
    fetchShape(socket, '/peers', peerFactsShape),
  ]);
  return { atMs: Date.now(), status, samples: history.samples, peers: peers.peers };
}

/** Until q, a signal, or --count; a daemon that goes away is waited for. */
async function runLive(options: Options): Promise<number> {
  const model = new TopModel();
  const end = new AbortController();
  const style = chooseStyle(options.color, process.stdout);
  // A daemon that is not there at the beginning is an error, not a picture.
  model.add(await poll(options.adminSocket));
  let lost = '';
  const draw = (): void => {
    const view = model.view();
    if (!view) return;
    const { columns, rows } = terminal.size;
    const note = lost === '' ? [] : [style.bad(lost.slice(0, columns - 1))];
    const frame = renderTop(view, { columns, rows: rows - note.length }, style);
    terminal.draw([...note, frame].join('\n'));
  };
  const onKey = (key: Key): void => {
    if (key === 'quit') end.abort();
    press(model, key);
    draw();
  };
  const terminal = Terminal.open(onKey, draw);
  const onSignal = (): void => end.abort();
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal);
  try {
    draw();
    for (let looks = 1; looks !== options.count && !end.signal.aborted; looks++) {
      await sleep(options.interval * 1000, undefined, { signal: end.signal }).catch(
        () => undefined,
      );
      if (end.signal.aborted) break;
      lost = await poll(options.adminSocket).then(
        (answer) => {
          model.add(answer);
          return '';
        },
        (error: unknown) => printable(messageOf(error)),
      );
      draw();
    }
    return 0;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onSignal);
    terminal.close();
  }
}

function press(model: TopModel, key: Key): void {
  if (key === 'space') model.togglePause();
  if (key === 'sort') model.nextSort();
  if (key === 'left') model.scroll(SCROLL_SECONDS);
  if (key === 'right') model.scroll(-SCROLL_SECONDS);
}

async function runLines({ adminSocket, json, interval, count }: Options): Promise<number> {
  for (let looks = 1; ; looks++) {
    const [status, { samples }] = await Promise.all([
      fetchShape(adminSocket, '/status', statusShape),
      fetchShape(adminSocket, '/history', historyShape),
    ]);
    const line = json ? jsonLine(status, samples.at(-1)) : renderLine(status, samples.at(-1));
    process.stdout.write(`${line}\n`);
    if (looks === count) return status.healthy ? 0 : 1;
    await sleep(interval * 1000);
  }
}

function jsonLine({ healthy, peers }: Status, sample: Sample | undefined): string {
  const line: z.infer<typeof lineShape> = {
    schemaVersion: SCHEMA_VERSION,
    healthy,
    peers: peers.total,
    sample: sample ?? null,
  };
  return JSON.stringify(line);
}

/** One look as a line of text. */
export function renderLine(status: Status, sample: Sample | undefined): string {
  const { healthy, peers } = status;
  const state = healthy ? 'healthy' : verdictOf(status).toUpperCase().replace(' ', '-');
  if (!sample) return `${state}  ${renderAmount(peers.total, 'peer')}  no traffic counted yet`;
  const side = (name: string, packets: number, bytes: number): string =>
    `${name} ${renderAmount(packets, 'packet')}/s ${renderBits(bytes)}`;
  return [
    `${sample.at}  ${state}  ${renderAmount(peers.total, 'peer')}`,
    side('sent', sample.sentPackets, sample.sentBytes),
    side('received', sample.receivedPackets, sample.receivedBytes),
    `dropped ${renderAmount(sample.droppedPackets, 'packet')}/s`,
  ].join('  ');
}

function numberIn(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text !== '' && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be from ${least} to ${most}.`);
  };
}
