/** What is read from the programs that bench:net runs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nginxConfig, parseAb } from '../../../bench/net/works/http.ts';
import { udpValues } from '../../../bench/net/works/paced.ts';

const AB = `
Concurrency Level:      32
Complete requests:      2000
Failed requests:        20
Requests per second:    12345.67 [#/sec] (mean)
`;

test('ab: rate, failures and percentiles; no rate is an error', () => {
  const csv = 'Percentage served,Time in ms\n0,0.1\n50,1.5\n99,9.25\n';
  assert.deepEqual(parseAb(AB, csv), {
    perSecond: 12345.67,
    requests: 2000,
    lossPct: 1,
    p50Us: 1500,
    p99Us: 9250,
  });
  assert.throws(() => parseAb('apr_socket_connect(): refused', ''), /ab says no rate/);
});

test('nginx keeps everything it writes in its folder and answers both families', () => {
  const text = nginxConfig('/somewhere', '80');
  for (const [, file] of text.matchAll(/(?:pid|_path) (\S+);/g))
    assert.ok(file?.startsWith('/somewhere/'), file);
  assert.match(text, /listen 80; listen \[::\]:80;/);
});

test('iperf3, UDP: jitter, loss and what a delivered packet cost', () => {
  const sum = { jitter_ms: 0.0125, lost_packets: 100, packets: 1000, seconds: 2 };
  const cpu = { cpuSeconds: 0.9, daemonCpuSeconds: 0.4, toolCpuSeconds: 0.5 };
  assert.deepEqual(udpValues({ end: { sum } }, cpu), {
    jitterUs: 12.5,
    lossPct: 10,
    sentPerSecond: 500,
    deliveredPerSecond: 450,
    ...cpu,
    cpuSecondsPerMpackets: 1000,
  });
});
