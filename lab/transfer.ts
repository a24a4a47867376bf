/** Transfers between pods whose content is checked: TCP by hash at both ends, UDP by echo. */
import type { Pod } from './pod.ts';
import { labProgram } from './root.ts';

export interface TransferOptions {
  family?: 4 | 6;
  /** default 1; the same seed gives the same bytes */
  seed?: number;
  port?: number;
  /** where the sender connects to; default is the receiver's own address */
  target?: string;
  /** default 60 s */
  timeoutMs?: number;
}

/** What both ends saw. */
export interface TransferResult {
  sent: { bytes: number; sha256: string; ms: number };
  received: { bytes: number; sha256: string };
  /** byte counts and hashes agree, and the count is what was asked for */
  equal: boolean;
}

/** Sends `bytes` pseudo-random bytes by TCP; each end reports the sha256 of what it sent or got. */
export async function transferHash(
  from: Pod,
  to: Pod,
  bytes: number,
  options: TransferOptions = {},
): Promise<TransferResult> {
  const { family = 4, seed = 1, port = 7001, timeoutMs = 60_000 } = options;
  const address = to.address(family);
  const sink = to.namespace.spawn(process.execPath, [
    labProgram('tcp-sink'),
    address,
    String(port),
  ]);
  try {
    await sink.waitForOutput(/"listening"/);
    const { target = address } = options;
    const args = [labProgram('tcp-source'), target, port, bytes, seed].map(String);
    const { stdout } = await from.namespace.exec(process.execPath, args, { timeoutMs });
    const [line] = await sink.waitForOutput(/^\{.*"sha256".*\}$/m);
    return compare(bytes, JSON.parse(stdout), JSON.parse(line));
  } finally {
    await sink.kill();
  }
}

function compare(
  bytes: number,
  sent: TransferResult['sent'],
  received: TransferResult['received'],
): TransferResult {
  const equal = sent.sha256 === received.sha256 && received.bytes === bytes;
  return { sent, received, equal };
}

export interface UdpEchoOptions {
  family?: 4 | 6;
  seed?: number;
  port?: number;
  /** per attempt; default 500 ms */
  waitMs?: number;
  /** default 2: one datagram may get lost while neighbours are being found */
  attempts?: number;
}

/** Payload sizes that had trouble. */
export interface UdpEchoResult {
  sizes: number;
  missing: number[];
  corrupt: number[];
  /** came back, or not, only after the first attempt was lost */
  repeated: number[];
}

/** Sends one UDP datagram of each payload size, one after the other, and compares what comes back. */
export async function udpEcho(
  from: Pod,
  to: Pod,
  sizes: readonly number[],
  options: UdpEchoOptions = {},
): Promise<UdpEchoResult> {
  const { family = 4, seed = 1, port = 7002, waitMs = 500, attempts = 2 } = options;
  const address = to.address(family);
  const server = to.namespace.spawn(process.execPath, [
    labProgram('udp-echo-server'),
    address,
    String(port),
  ]);
  try {
    await server.waitForOutput(/"listening"/);
    const args = [
      labProgram('udp-echo-client'),
      address,
      port,
      seed,
      waitMs,
      attempts,
      sizes.join(','),
    ].map(String);
    const timeoutMs = 20_000 + sizes.length * waitMs * attempts;
    const { stdout } = await from.namespace.exec(process.execPath, args, { timeoutMs });
    return JSON.parse(stdout) as UdpEchoResult;
  } finally {
    await server.kill();
  }
}

/** [first, first + 1, ..., last] */
export function allSizes(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
