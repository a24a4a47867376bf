/** The admin socket's client. */
import http from 'node:http';
import { EXIT, messageOf, WeftError } from '../shared/errors.ts';

const TIMEOUT_MS = 5_000;
const ANSWER_BYTES_MAX = 64 << 20;

/** GET a page as JSON. Throws WeftError ERR_UNREACHABLE (exit 2) with what to do, ERR_ANSWER when the daemon refuses. */
export function fetchPage(
  socket: string,
  page: string,
  timeoutMs = TIMEOUT_MS,
): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const request = http.get(
      { socketPath: socket, path: page, timeout: timeoutMs },
      (response) => void readAnswer(socket, page, response).then(resolve, reject),
    );
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', (error) => reject(unreachable(socket, error)));
  });
}

/** GET a page that goes on until one of both ends it. The same errors as {@link fetchPage}. */
export function openPage(socket: string, page: string): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath: socket, path: page }, (response) => {
      if (response.statusCode === 200) return resolve(response);
      readAnswer(socket, page, response).then(() => reject(unreachable(socket, 'refused')), reject);
    });
    request.on('error', (error) => reject(unreachable(socket, error)));
  });
}

function readAnswer(
  socket: string,
  page: string,
  response: http.IncomingMessage,
): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => reject(unreachable(socket, error));
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > ANSWER_BYTES_MAX) response.destroy(new Error('answer too long'));
    });
    response.on('error', fail);
    response.on('end', () => {
      try {
        const answer = JSON.parse(text) as Record<string, unknown>;
        if (response.statusCode === 200) return resolve(answer);
        const said = `weftd answers ${response.statusCode} to ${page}: ${answer['error']}`;
        reject(new WeftError('ERR_ANSWER', EXIT.failure, said));
      } catch (error) {
        fail(error);
      }
    });
  });
}

function unreachable(socket: string, error: unknown): WeftError {
  const message = `no weftd answers at ${socket} (${messageOf(error)}); start it with: systemctl start weftd, or name its --admin-socket`;
  return new WeftError('ERR_UNREACHABLE', EXIT.usage, message, error);
}
