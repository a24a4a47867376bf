/** /healthz and /readyz for probes, with flannel's paths and bodies (flannel pkg/… mustRunHealthz). */
import http from 'node:http';
import { EXIT, messageOf, WeftError } from '../shared/errors.ts';

/** Why the node is not ready, or '' when it is. */
export type Readiness = () => string;

/** Listens; the daemon lives as long as it answers. Throws WeftError ERR_HEALTHZ. */
export async function startHealth(
  address: string,
  port: number,
  whyNotReady: Readiness,
): Promise<http.Server> {
  const server = http.createServer({ maxHeaderSize: 4096 }, (request, response) => {
    const [status, body] = answer(request.url ?? '/', whyNotReady);
    response.writeHead(status, { 'content-type': 'text/plain', connection: 'close' });
    response.end(`${body}\n`);
  });
  server.headersTimeout = 5_000;
  server.requestTimeout = 5_000;
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const message = `--healthz-ip ${address} --healthz-port ${port}: ${messageOf(error)}; choose another port`;
      reject(new WeftError('ERR_HEALTHZ', EXIT.os, message, error));
    });
    server.listen(port, address, resolve);
  });
  return server;
}

/** Any method, as flannel. */
function answer(url: string, whyNotReady: Readiness): [number, string] {
  const [page] = url.split('?');
  if (page === '/healthz') return [200, 'flanneld is running'];
  if (page !== '/readyz') return [404, 'there are /healthz and /readyz'];
  const why = whyNotReady();
  return why === '' ? [200, 'flanneld is ready'] : [503, `flanneld is not ready yet: ${why}`];
}
