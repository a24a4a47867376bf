/** Prints what the kernel announces in its network namespace: "ready", then one JSON line for each announcement, until it is killed. */
import { KernelNews } from '../../../src/host/kernel-news.ts';
import { loadAddon } from '../../../src/memory/addon.ts';

const news = new KernelNews(loadAddon(), (heard) => {
  for (const each of heard) process.stdout.write(`${JSON.stringify(each)}\n`);
});
process.stdout.write(news.problem === '' ? 'ready\n' : `${news.problem}\n`);
// The watch keeps no process alive.
setInterval(() => undefined, 60_000);
