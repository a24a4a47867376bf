/** A strict reader of Prometheus' text format 0.0.4, and of the naming rules that go with it. */
import assert from 'node:assert/strict';

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`);
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/;

/** Asserts on anything that is not to the letter: missing HELP or TYPE, families in pieces, double samples, bad names and units. */
export function parseExposition(text: string): Sample[] {
  assert.ok(text.endsWith('\n'), 'the last line has its end');
  const samples: Sample[] = [];
  const types = new Map<string, string>();
  const seen = new Set<string>();
  let family = '';
  let help = '';
  for (const line of text.trimEnd().split('\n')) {
    if (line === '') continue;
    const comment = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`).exec(line);
    if (comment?.[1] === 'HELP') {
      help = comment[2] as string;
      assert.ok(!types.has(help), `${help} is in one piece`);
    } else if (comment) {
      family = comment[2] as string;
      assert.equal(family, help, 'HELP stands before TYPE');
      const type = comment[3] as string;
      assert.match(type, /^(counter|gauge|histogram|summary)$/, line);
      checkName(family, type);
      types.set(family, type);
    } else {
      const sample = parseSample(line);
      const base = types.has(sample.name)
        ? sample.name
        : sample.name.replace(/_(bucket|sum|count)$/, '');
      assert.equal(base, family, `${line} belongs to the family before it`);
      const identity = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`;
      assert.ok(!seen.has(identity), `${line} is there once`);
      seen.add(identity);
      samples.push(sample);
    }
  }
  return samples;
}

/** Of our own names: prom-client's process figures have gauges that end with _total. */
function checkName(name: string, type: string): void {
  if (!name.startsWith('weft_')) return;
  assert.equal(
    type === 'counter',
    name.endsWith('_total'),
    `${name}: counters, and only they, end with _total`,
  );
  assert.doesNotMatch(name, /_(ms|milliseconds|kb|kilobytes|minutes)(_|$)/, `${name}: base units`);
}

function parseSample(line: string): Sample {
  const [, name = '', inside = '', number = ''] = SAMPLE.exec(line) ?? [];
  assert.notEqual(name, '', `no sample: ${line}`);
  const labels: Record<string, string> = {};
  for (let rest = inside; rest !== ''; ) {
    const match = LABEL.exec(rest);
    assert.ok(match, `bad labels: ${line}`);
    labels[match[1] as string] = match[2] as string;
    rest = rest.slice(match[0].length);
  }
  const value = number === '+Inf' ? Infinity : number === '-Inf' ? -Infinity : Number(number);
  assert.ok(number === 'NaN' || !Number.isNaN(value), `bad value: ${line}`);
  return { name, labels, value };
}
