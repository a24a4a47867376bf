/** All pods talk to all pods, all the time: one talker in each, and a socket on which they tell what they saw. */
import { createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../lab.ts';
import type { Pod } from '../pod.ts';
import type { LabProcess } from '../process.ts';
import { labProgram } from '../root.ts';
import type { TalkerReport, TalkerTask } from './talk.ts';

/** From one number to the next, on each way in each family. */
const EVERY_MS = 50;
const CONNECT_MS = 30_000;

export class Conversation {
  private readonly server: Server;
  private readonly talkers: LabProcess[] = [];

  private constructor(server: Server) {
    this.server = server;
  }

  /** Resolves when everybody talks. */
  static async start(lab: Lab, hear: (report: TalkerReport) => void): Promise<Conversation> {
    const socketPath = path.join(lab.scope.tempDir, 'talk.sock');
    const links: Socket[] = [];
    const server = createServer((link) => {
      links.push(link);
      let rest = '';
      link.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) hear(JSON.parse(line) as TalkerReport);
      });
    });
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    lab.scope.cleanup.defer('socket of the talkers', () => server.close());
    const conversation = new Conversation(server);
    for (const [i, pod] of lab.pods.entries()) {
      const words = [labProgram('soak-talker'), socketPath, JSON.stringify(taskOf(lab, i))];
      conversation.talkers.push(pod.namespace.spawn(process.execPath, words));
    }
    const deadline = Date.now() + CONNECT_MS;
    while (links.length < lab.pods.length) {
      const ended = conversation.ended;
      if (ended !== '' || Date.now() > deadline)
        throw new Error(`a talker did not begin: ${ended}`);
      await sleep(50);
    }
    for (const link of links) link.write('begin\n');
    return conversation;
  }

  /** The first talker that ended though nobody asked it to, with its last words; '' none. */
  get ended(): string {
    const talker = this.talkers.find(({ exit }) => exit !== undefined);
    return talker ? `${talker.exit}: ${talker.lastLines(5)}` : '';
  }

  /** Everybody stops, listens a while longer and says the rest. */
  async stop(): Promise<void> {
    for (const talker of this.talkers) talker.signal('SIGTERM');
    for (const talker of this.talkers) await talker.waitForEnd(20_000);
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }
}

function taskOf(lab: Lab, pod: number): TalkerTask {
  const addresses = (of: Pod) =>
    lab.families.map((family) => ({ family, address: of.address(family) }));
  return {
    pod,
    own: addresses(lab.pod(pod)),
    others: lab.pods.flatMap((other, i) =>
      i === pod ? [] : addresses(other).map((each) => ({ pod: i, ...each })),
    ),
    everyMs: EVERY_MS,
  };
}
