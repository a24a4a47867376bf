/** Where the API server is and who we are. */
import { EXIT, messageOf, WeftError } from '../../shared/errors.ts';
import type { CredentialSource } from './credentials.ts';

export interface Access {
  /** http or https, perhaps with a path in front of that of the API; no secrets */
  readonly server: URL;
  /** of the kubeconfig's context, or of our pod */
  readonly namespace: string | undefined;
  readonly credentials: CredentialSource;
}

/** Of a text such as "https://10.0.0.1:6443"; without a scheme https where there is anything of TLS, else http. `place` is for messages. */
export function serverUrl(text: string, place: string, hasTls: boolean): URL {
  const whole = /^[a-z]+:\/\//i.test(text) ? text : `${hasTls ? 'https' : 'http'}://${text}`;
  let url: URL;
  try {
    url = new URL(whole);
  } catch (error) {
    throw accessError(`${place} holds no URL (${messageOf(error)}): write it as https://HOST:PORT`);
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw accessError(`${place} must begin with https:// or http://`);
  if (url.username !== '' || url.password !== '')
    throw accessError(`${place} holds a user or a password: put them into the kubeconfig's user`);
  return url;
}

export function accessError(message: string, cause?: unknown): WeftError {
  return new WeftError('ERR_KUBE_ACCESS', EXIT.config, message, cause, [
    'kubeconfig-file',
    'kube-api-url',
  ]);
}
