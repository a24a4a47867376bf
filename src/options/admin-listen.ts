/** --admin-listen: where the web page listens. Loopback only: the page has no password. */
import { familyOf, parseAddress } from '../shared/address.ts';
import { EXIT, WeftError } from '../shared/errors.ts';

export interface ListenAddress {
  address: string;
  port: number;
}

/** "" (off), "8475", "127.0.0.1:8475" or "[::1]:8475". Throws WeftError ERR_USAGE. */
export function parseAdminListen(text: string): ListenAddress | undefined {
  if (text === '') return undefined;
  const form =
    /^(?:(?<four>[0-9.]+):|\[(?<six>[0-9a-f:.]+)\]:)?(?<port>\d{1,5})$/i.exec(text)?.groups ??
    refuse(text, 'must be a port, 127.0.0.1:8475 or [::1]:8475');
  const address = form['four'] ?? form['six'] ?? '127.0.0.1';
  const port = Number(form['port']);
  if (port < 1 || port > 65_535) refuse(text, 'the port must be 1 to 65535');
  if (!isLoopback(address))
    refuse(
      text,
      `${address} is not a loopback address; the page has no password and must not be reached from outside: use 127.0.0.1 and "ssh -L"`,
    );
  return { address, port };
}

function isLoopback(address: string): boolean {
  const words = parseAddress(address);
  if (!words) return false;
  if (familyOf(words) === 4) return /^127\./.test(address);
  return words.every((word, i) => word === (i === 3 ? 1 : 0));
}

function refuse(text: string, why: string): never {
  const message = `--admin-listen ${text}: ${why}`;
  throw new WeftError('ERR_USAGE', EXIT.usage, message, undefined, ['admin-listen']);
}
