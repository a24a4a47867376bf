/** GET on a daemon's admin socket. */
import http from 'node:http';

export function adminPage(socketPath: string, page: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path: page, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => resolve(Buffer.concat(parts).toString()));
    });
    request.on('error', reject);
  });
}
