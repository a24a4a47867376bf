/** A fake API server on loopback: answers by a script, for what a real one can't be made to show. */
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { Access } from '../../src/cluster/kubernetes/access.ts';
import { KubernetesClient } from '../../src/cluster/kubernetes/client.ts';
import type { CredentialSource } from '../../src/cluster/kubernetes/credentials.ts';
import type { KubernetesObject } from '../../src/cluster/kubernetes/object.ts';
import type { Clock } from '../../src/shared/clock.ts';

type Answer = (query: URLSearchParams, response: http.ServerResponse) => void;

export class FakeApi {
  /** what was asked for, without the host */
  readonly requests: { method: string; url: string; headers: http.IncomingHttpHeaders }[] = [];
  readonly sockets = new Set<Socket>();
  readonly url: string;
  readonly server: http.Server | https.Server;

  private constructor(server: http.Server | https.Server) {
    this.server = server;
    const scheme = server instanceof https.Server ? 'https' : 'http';
    this.url = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** Ends with the test. */
  static async start(t: TestContext, answer: Answer, tls?: https.ServerOptions): Promise<FakeApi> {
    const server = tls ? https.createServer(tls) : http.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const fake = new FakeApi(server);
    server.on('connection', (socket) => {
      fake.sockets.add(socket);
      socket.once('close', () => fake.sockets.delete(socket));
    });
    server.on('request', ({ method = '', url = '', headers }, response) => {
      fake.requests.push({ method, url, headers });
      answer(new URL(url, fake.url).searchParams, response);
    });
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    return fake;
  }

  /** A client of it, closed with the test. */
  client(t: TestContext, credentials: CredentialSource = {}, clock?: Clock): KubernetesClient {
    const access: Access = { server: new URL(this.url), namespace: undefined, credentials };
    const client = new KubernetesClient(access, clock);
    t.after(() => client.close());
    return client;
  }

  /** Ends all connections, as a server does that dies. */
  cut(): void {
    this.server.closeAllConnections();
  }
}

export function json(response: http.ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

/** What an API server says in the place of an answer. */
export function refuse(
  response: http.ServerResponse,
  status: number,
  message = 'no',
  headers: http.OutgoingHttpHeaders = {},
): void {
  const body = { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code: status };
  response.writeHead(status, headers).end(JSON.stringify(body));
}

export function node(name: string, version = 1, more: object = {}): KubernetesObject {
  return { metadata: { name, uid: `uid-${name}`, resourceVersion: String(version), ...more } };
}

/** A whole list, or a page where there is more. */
export function list(items: readonly object[], version: number, more = ''): object {
  return { metadata: { resourceVersion: String(version), continue: more }, items };
}
