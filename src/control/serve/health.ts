/** /healthz and /readyz for probes, with flannel's paths and bodies (flannel main.go mustRunHealthz), and /metrics. */
import type http from 'node:http';
import { messageOf } from '../../shared/errors.ts';
import { MESSAGE_CHARACTERS_MAX, printable } from '../../shared/printable.ts';
import type { Exposition } from '../observe/metrics.ts';
import { type Limits, listen, type Refused } from './listen.ts';

const LIMITS: Limits = {
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 5_000,
  headerBytesMax: 4_096,
  connectionsMax: 64,
  // Probes may come from the address of whoever floods: behind a masquerade pods have their node's.
  perAddressMax: 16,
  silenceMsMax: 30_000,
};

/** Why not, '' when all is well. */
export interface Probes {
  whyNotAlive(): string;
  whyNotReady(): string;
}

/** Listens; the daemon lives as long as it answers. Throws WeftError ERR_HEALTHZ. */
export async function startHealth(
  address: string,
  port: number,
  probes: Probes,
  scrape: () => Promise<Exposition>,
): Promise<http.Server> {
  const refused: Refused = {
    code: 'ERR_HEALTHZ',
    message: (why) => `--healthz-ip ${address} --healthz-port ${port}: ${why}; choose another port`,
  };
  return listen({ host: address, port }, LIMITS, refused, async (request, response) => {
    const [page = '/'] = (request.url ?? '/').split('?');
    const { status, type, body } = await answer(page, probes, scrape);
    response.writeHead(status, { 'content-type': type, connection: 'close' });
    response.end(body);
  });
}

interface Answer {
  status: number;
  type: string;
  body: string;
}

/** Any method, as flannel. */
async function answer(
  page: string,
  probes: Probes,
  scrape: () => Promise<Exposition>,
): Promise<Answer> {
  const plain = (status: number, text: string): Answer => ({
    status,
    type: 'text/plain',
    body: `${text}\n`,
  });
  if (page === '/healthz') {
    const why = probes.whyNotAlive();
    return why === '' ? plain(200, 'flanneld is running') : plain(503, `flanneld hangs: ${why}`);
  }
  if (page === '/readyz') {
    const why = probes.whyNotReady();
    return why === ''
      ? plain(200, 'flanneld is ready')
      : plain(503, `flanneld is not ready yet: ${printable(why, MESSAGE_CHARACTERS_MAX)}`);
  }
  if (page !== '/metrics') return plain(404, 'there are /healthz, /readyz and /metrics');
  try {
    const { contentType, text } = await scrape();
    return { status: 200, type: contentType, body: text };
  } catch (error) {
    return plain(500, messageOf(error));
  }
}
