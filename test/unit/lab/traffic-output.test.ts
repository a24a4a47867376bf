import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { median, parseIperf, parsePing } from '../../../lab/traffic-output.ts';

const PING = `PING 10.244.2.2 (10.244.2.2) 56(84) bytes of data.
64 bytes from 10.244.2.2: icmp_seq=1 ttl=62 time=1.20 ms
64 bytes from 10.244.2.2: icmp_seq=2 ttl=62 time=0.105 ms
64 bytes from 10.244.2.2: icmp_seq=2 ttl=62 time=9.9 ms (DUP!)
64 bytes from 10.244.2.2: icmp_seq=4 ttl=62 time=0.3 ms

--- 10.244.2.2 ping statistics ---
4 packets transmitted, 3 received, +1 duplicates, 25% packet loss, time 61ms
rtt min/avg/max/mdev = 0.105/0.535/1.200/0.477 ms
`;

const answer = (sequence: number): string =>
  `64 bytes from 10.244.2.2: icmp_seq=${sequence} ttl=62 time=1.20 ms`;

describe('parsePing', () => {
  it('reads loss and the median, without duplicates', () => {
    assert.deepEqual(parsePing(PING, 4), { sent: 4, received: 3, lossPct: 25, rttMsP50: 0.3 });
  });

  it('has no round trip when nothing came back', () => {
    const text =
      'From 10.0.0.1 icmp_seq=1 Destination Host Unreachable\n3 packets transmitted, 0 received, +1 errors';
    assert.deepEqual(parsePing(text, 3), { sent: 3, received: 0, lossPct: 100, rttMsP50: null });
  });

  it('never rounds a loss to zero', () => {
    const answers = Array.from({ length: 1999 }, (_, i) => answer(i + 1)).join('\n');
    const text = `${answers}\n2000 packets transmitted, 1999 received, 0.05% packet loss`;
    assert.equal(parsePing(text, 2000).lossPct, 0.05);
  });

  it('does not judge what ping sent beyond the count while it waited for an answer', () => {
    const late = [answer(1), answer(2), '3 packets transmitted, 2 received'].join('\n');
    assert.equal(parsePing(late, 2).lossPct, 0);
    const lost = [answer(1), answer(3), '3 packets transmitted, 2 received'].join('\n');
    assert.equal(parsePing(lost, 2).lossPct, 50);
  });

  it('throws when there is no summary', () => {
    assert.throws(() => parsePing('ping: connect: Network is unreachable', 1), /no summary/);
  });
});

describe('parseIperf', () => {
  it('takes the received rate', () => {
    const end = {
      sum_sent: { bits_per_second: 3e9, retransmits: 4 },
      sum_received: { bits_per_second: 2.5e9 },
    };
    assert.deepEqual(parseIperf(JSON.stringify({ end })), { gbps: 2.5, retransmits: 4 });
  });

  it("throws with iperf3's own words", () => {
    const text = JSON.stringify({
      end: {},
      error: 'unable to connect to server: Connection refused',
    });
    assert.throws(() => parseIperf(text), /Connection refused/);
  });

  it('throws on no JSON and on a report without a rate', () => {
    assert.throws(() => parseIperf(''), /no JSON/);
    assert.throws(() => parseIperf('{"end":{}}'), /no received rate/);
  });
});

describe('median', () => {
  it('is the lower middle one', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 3, 2]), 2);
    assert.equal(median([]), null);
  });
});
