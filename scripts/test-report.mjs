/** Node's spec report, with one line at its end for each reason why tests were skipped. */
import { Readable } from 'node:stream';
import { spec } from 'node:test/reporters';

export default async function* report(events) {
  const skipped = new Map();
  async function* counted() {
    for await (const event of events) {
      const { skip } = event.data;
      if (event.type === 'test:pass' && skip) skipped.set(skip, (skipped.get(skip) ?? 0) + 1);
      yield event;
    }
  }
  yield* Readable.from(counted()).pipe(new spec());
  for (const [reason, count] of skipped) yield `skipped: ${count}, ${reason}\n`;
}
