/**
 * Who may ask the web listener. It is bound to loopback, but a browser on this machine asks for any site it shows: a foreign
 * page must neither read answers (DNS rebinding: its own name, our address) nor cause requests.
 */
import type http from 'node:http';

export interface Refusal {
  status: 403 | 405;
  message: string;
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/i;

/** Why a request is refused; undefined when it may be answered. `port` is the one we listen on. */
export function refusalOf(
  method: string | undefined,
  headers: http.IncomingHttpHeaders,
  port: number,
): Refusal | undefined {
  const { host = '', origin, 'sec-fetch-site': site } = headers;
  if (!isOurName(host, port))
    return forbidden(
      `this page answers to localhost:${port} and 127.0.0.1:${port} only; through ssh use the same port at both ends: ssh -L ${port}:127.0.0.1:${port}`,
    );
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`)
    return forbidden('requests of other sites are refused');
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    return forbidden('requests of other sites are refused; type the address instead');
  if (method !== 'GET' && method !== 'HEAD')
    return { status: 405, message: 'only GET and HEAD are allowed' };
  return undefined;
}

function isOurName(host: string, port: number): boolean {
  const [, name = '', given = '80'] = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(host) ?? [];
  return LOOPBACK.test(name) && Number(given) === port;
}

function forbidden(message: string): Refusal {
  return { status: 403, message };
}
