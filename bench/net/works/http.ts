/** HTTP requests: nginx answers, ApacheBench (ab) asks. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Unpacked } from '../unpacked.ts';
import {
  freshPort,
  GRACE_MS,
  hostOf,
  type Measured,
  READY_MS,
  type Stand,
  type Work,
  type WorkContext,
} from './work.ts';

const CLIENTS = 32;
const BODY_BYTES = 1024;
const TOOLS = new Unpacked('bookworm', ['nginx', 'apache2-utils', 'libapr1', 'libaprutil1']);

/** One worker process, everything of it in `folder`, no log, connections kept as long as anybody asks. */
export function nginxConfig(folder: string, port: string): string {
  return `daemon off; worker_processes 1; pid ${folder}/pid; error_log stderr; user root root;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  server {
    listen ${port}; listen [::]:${port};
    location / { default_type text/plain; return 200 "${'x'.repeat(BODY_BYTES)}"; }
  }
}
`;
}

/** What ab printed, and its file of percentiles in ms ("99,1.234"). Throws when it has no rate. */
export function parseAb(text: string, percentiles: string): Record<string, number> {
  const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1]);
  const complete = number(/^Complete requests:\s+(\d+)/m);
  const perSecond = number(/^Requests per second:\s+([\d.]+)/m);
  if (!Number.isFinite(perSecond) || complete === 0)
    throw new Error(`ab says no rate: ${JSON.stringify(text.slice(-200))}`);
  const percentile = (share: number): number =>
    1000 * Number(new RegExp(`^${share},([\\d.]+)`, 'm').exec(percentiles)?.[1]);
  return {
    perSecond,
    requests: complete,
    lossPct: (100 * number(/^Failed requests:\s+(\d+)/m)) / complete,
    p50Us: percentile(50),
    p99Us: percentile(99),
  };
}

async function measure(stand: Stand, context: WorkContext, keep: boolean): Promise<Measured> {
  const { rig, meter } = stand;
  const folder = mkdtempSync(join(tmpdir(), 'weft-bench-http-'));
  const port = freshPort();
  const config = join(folder, 'nginx.conf');
  const csv = join(folder, 'percentiles.csv');
  writeFileSync(config, nginxConfig(folder, port));
  const nginx = TOOLS.program('usr/sbin/nginx');
  const server = meter.spawn(rig.to, nginx, ['-p', folder, '-e', 'stderr', '-c', config]);
  const url = `http://${hostOf(rig.to)}:${port}/`;
  const ab = ['env', `LD_LIBRARY_PATH=${TOOLS.libraries}`, TOOLS.program('usr/bin/ab')] as const;
  const load = ['-q', '-r', '-t', `${context.seconds}`, '-n', '100000000', '-c', `${CLIENTS}`];
  try {
    await waitUntilServed(stand, [...ab, '-q', '-n', '1', url]);
    const { done, cpu } = await meter.cpuOf(() =>
      meter.exec(
        rig.from,
        ab[0],
        [...ab.slice(1), ...load, ...(keep ? ['-k'] : []), '-e', csv, url],
        {
          timeoutMs: context.seconds * 1000 + GRACE_MS,
        },
      ),
    );
    const values = parseAb(done.stdout, readFileSync(csv, 'utf8'));
    const cpuUsPerRequest = (cpu.cpuSeconds * 1e6) / (values['requests'] as number);
    return { values: { ...values, ...cpu, cpuUsPerRequest } };
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function waitUntilServed(
  { rig, meter }: Stand,
  [command, ...args]: readonly [string, ...string[]],
): Promise<void> {
  const deadline = Date.now() + READY_MS;
  for (;;) {
    const { code, stderr } = await meter.exec(rig.from, command, args, { allowFailure: true });
    if (code === 0) return;
    if (Date.now() > deadline) throw new Error(`nginx does not answer: ${stderr.trim()}`);
    await sleep(50);
  }
}

function httpWork(id: string, label: string, keep: boolean): Work {
  return {
    id,
    label: `HTTP, ${CLIENTS} clients, 1 kB, ${label}`,
    metric: 'perSecond',
    unit: 'requests/s',
    better: 'higher',
    loss: { metric: 'lossPct', unit: '% failed' },
    cost: { metric: 'cpuUsPerRequest', unit: 'CPU-µs/request' },
    tail: 'p99Us',
    unpacked: TOOLS,
    quick: false,
    main: false,
    run: (stand, context) => measure(stand, context, keep),
  };
}

export const httpWorks: Work[] = [
  httpWork('http', 'a connection for each request', false),
  httpWork('http-kept', 'connections kept open', true),
];
