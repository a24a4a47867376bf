import { EXIT, WeftError } from '../shared/errors.ts';

/** Throws WeftError ERR_CONFIG: the network config can't be used. */
export function refuse(message: string): never {
  throw new WeftError('ERR_CONFIG', EXIT.config, `network config: ${message}`);
}
