/** Why a call to the API server failed. */
import { EXIT, WeftError } from '../../shared/errors.ts';
import { printable, SAID_CHARACTERS_MAX } from '../../shared/printable.ts';

/**
 * unavailable: no answer, or one that may be another soon (429, 5xx) · refused: it does not let us (401, 403) or finds fault with what
 * we ask · conflict: the object was changed meanwhile, or is there already · not found · gone: this version of a list is forgotten
 */
export type FailureKind = 'unavailable' | 'refused' | 'conflict' | 'not found' | 'gone';

const CODES: Readonly<Record<FailureKind, string>> = {
  unavailable: 'ERR_STORE_UNAVAILABLE',
  refused: 'ERR_STORE_REFUSED',
  conflict: 'ERR_STORE_CONFLICT',
  'not found': 'ERR_STORE_NOT_FOUND',
  gone: 'ERR_STORE_GONE',
};

export class KubernetesError extends WeftError {
  readonly kind: FailureKind;
  /** of HTTP; undefined when there was no answer */
  readonly status: number | undefined;
  /** The server wants to be left alone for so long; the client sees to that by itself. */
  readonly retryAfterMs: number | undefined;

  constructor(
    kind: FailureKind,
    message: string,
    more: { status?: number; retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(CODES[kind], EXIT.unavailable, message, more.cause);
    this.name = 'KubernetesError';
    this.kind = kind;
    this.status = more.status;
    this.retryAfterMs = more.retryAfterMs;
  }
}

/** What kind of failure an HTTP status is. */
export function kindOf(status: number): FailureKind {
  if (status === 404) return 'not found';
  if (status === 409) return 'conflict';
  if (status === 410) return 'gone';
  if (status >= 400 && status < 500 && status !== 408 && status !== 429) return 'refused';
  return 'unavailable';
}

/** What another program said, on one line and bounded. */
export function said(text: string): string {
  return printable(text, SAID_CHARACTERS_MAX);
}
