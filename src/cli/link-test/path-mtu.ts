/** The largest UDP payload that crosses a path in one piece. Node can't set DF on a socket, so `ping -M do` does it. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';

/** An echo request has an 8-byte ICMP header, as long as a UDP header: its payload is UDP's. */
const HEADERS = { 4: 28, 6: 48 } as const;
const PAYLOAD_MAX = 65_507;
/** What every IPv4 host must take is 576; IPv6 has at least 1280. */
const SMALLEST = { 4: 576, 6: 1280 } as const;
const PROBE_LIMIT_MS = 5_000;

export type PathResult = { payloadBytes: number } | { why: string };

/** Bytes of the IP packet around a UDP payload. */
export function packetBytes(payloadBytes: number, family: 4 | 6): number {
  return payloadBytes + HEADERS[family];
}

/** What one probe said: arrived, or did not (with the limit that a router or the kernel named), or can't be made at all. */
export type Probe = { arrived: true } | { arrived: false; mtu?: number } | { why: string };
export type Prober = (payloadBytes: number) => Promise<Probe>;

/** Searches between the smallest packet that must pass and what the local device can send. */
export async function searchPayload(
  probe: Prober,
  family: 4 | 6,
  deviceMtu: number,
): Promise<PathResult> {
  let high = Math.min(deviceMtu - HEADERS[family], PAYLOAD_MAX);
  let low = Math.min(SMALLEST[family] - HEADERS[family], high);
  const first = await probe(low);
  if ('why' in first) return first;
  if (!first.arrived) return { why: 'ping gets no answer; is ICMP blocked on the way?' };
  // The device's own MTU is by far the most frequent answer, then the one that a router names.
  let next = high;
  while (low < high) {
    const result = await probe(next);
    if ('why' in result) return result;
    if (result.arrived) low = next;
    else high = next - 1;
    const named = !result.arrived && result.mtu ? result.mtu - HEADERS[family] : 0;
    next = named > low && named <= high ? named : Math.ceil((low + high) / 2);
  }
  return { payloadBytes: low };
}

/** Measures the way from this machine to `remote`; `local` is the address that the packets leave from. */
export async function measurePath(
  local: string,
  remote: string,
  family: 4 | 6,
  signal: AbortSignal,
): Promise<PathResult> {
  const mtu = deviceMtuOf(local);
  if (mtu === undefined) return { why: `no device here has the address ${local}` };
  const probe: Prober = (size) => ping(local, remote, family, size, signal);
  const result = await searchPayload(probe, family, mtu);
  // Pings that were interrupted look like pings without an answer.
  signal.throwIfAborted();
  return result;
}

function deviceMtuOf(address: string): number | undefined {
  const found = Object.entries(os.networkInterfaces()).find(([, addresses]) =>
    addresses?.some((each) => each.address === address),
  );
  if (!found) return undefined;
  return Number(readFileSync(`/sys/class/net/${found[0]}/mtu`, 'utf8'));
}

/** Two requests, so that one lost packet does not look like a small MTU. */
function ping(
  local: string,
  remote: string,
  family: 4 | 6,
  payloadBytes: number,
  signal: AbortSignal,
): Promise<Probe> {
  const words = `-${family} -n -M do -c 2 -i 0.2 -W 1 -I ${local} -s ${payloadBytes} ${remote}`;
  const environment = { ...process.env, LC_ALL: 'C' };
  return new Promise((resolve) => {
    const settings = { timeout: PROBE_LIMIT_MS, signal, env: environment };
    execFile('ping', words.split(' '), settings, (error, stdout, stderr) => {
      // A ping that was ended by a signal has no code.
      const code = error ? (error.code ?? 1) : 0;
      resolve(readProbe(code, `${stdout}${stderr}`));
    });
  });
}

/** Makes sense of ping's exit code (or why it did not start) and output. */
export function readProbe(code: number | string, output: string): Probe {
  if (code === 0) return { arrived: true };
  if (code === 'ENOENT')
    return { why: 'ping is missing; install it (Debian package iputils-ping)' };
  if (/not permitted|permission denied/i.test(output))
    return { why: 'ping may not open a raw socket here; run as root' };
  if (/(invalid|unrecognized) option|usage:/i.test(output))
    return { why: 'this ping has no -M option; install the one of iputils' };
  const mtu = Number(/mtu ?= ?(\d+)/.exec(output)?.[1]);
  return mtu > 0 ? { arrived: false, mtu } : { arrived: false };
}
