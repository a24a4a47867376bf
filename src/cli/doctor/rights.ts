/** Who asks: much of what the doctor looks at is root's. */

/** Why a check is skipped for anybody else. */
export const NOT_ROOT = 'only root can look';

export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

export const NOT_KUBERNETES = 'the store is not Kubernetes';
