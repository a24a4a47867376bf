/** Every fault that a soak knows. */
import { DAEMON_FAULTS } from './daemon-faults.ts';
import type { FaultKind } from './fault.ts';
import { SOAK_HOST_FAULTS } from './host-faults.ts';
import { KEY_FAULTS } from './key-faults.ts';
import { STORE_FAULTS } from './store-faults.ts';

export const ALL_FAULTS: readonly FaultKind[] = [
  ...DAEMON_FAULTS,
  ...STORE_FAULTS,
  ...KEY_FAULTS,
  ...SOAK_HOST_FAULTS,
];

export function faultNamed(name: string): FaultKind {
  const kind = ALL_FAULTS.find((each) => each.name === name);
  if (!kind) throw new Error(`no fault ${JSON.stringify(name)}`);
  return kind;
}
