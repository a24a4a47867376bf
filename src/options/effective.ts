/** Options in force and where they come from, without secrets: what `weft config show` tells. */
import type { Origin, Origins, Value, Values } from './flags.ts';
import { environmentName, OPTIONS } from './options.ts';

export interface EffectiveOption {
  name: string;
  /** "(secret)" for one that is set */
  value: Value;
  origin: Origin;
  /** the environment variable that sets it */
  environment: string;
}

const HIDDEN = '(secret)';

export function effectiveOptions(parsed: { values: Values; origins: Origins }): EffectiveOption[] {
  return OPTIONS.map((option) => {
    const { name, initial, secret } = option;
    const value = parsed.values[name] ?? initial;
    const isHidden = secret === true && value !== '';
    return {
      name,
      value: isHidden ? HIDDEN : value,
      origin: parsed.origins[name] ?? 'default',
      environment: environmentName(option),
    };
  });
}
