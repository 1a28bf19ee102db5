import type { Config } from './config';
import type { Environment } from './settings-reader';

/** Carries the validated config from the primary to its children, so that it is read and checked once. */
const HANDED_ON = 'CATAMOUNT_CONFIG';

/** The one place that touches `process.env`. */
export function environment(): Environment {
  return process.env;
}

/** Children forked from now on find this config instead of validating the environment again, and keep their memory small. */
export function handOnConfig(config: Config): void {
  process.env[HANDED_ON] = JSON.stringify(config);
  // glibc would give each of a process's threads an arena of its own, and after the first large block would keep more and
  // more of what is freed: 5 MB a process that nobody uses. The threshold is the one that it begins with.
  process.env.MALLOC_ARENA_MAX ??= '2';
  process.env.MALLOC_TRIM_THRESHOLD_ ??= '131072';
}

/** Whether a primary started this process. */
export function isHandedOn(): boolean {
  return process.env[HANDED_ON] !== undefined;
}

/** The config the primary handed on, frozen. */
export function handedOnConfig(): Config {
  const json = process.env[HANDED_ON];
  if (json === undefined) throw new Error(`${HANDED_ON} is missing: this process must be started by the primary`);
  return deepFreeze(JSON.parse(json) as Config);
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) deepFreeze(part);
    Object.freeze(value);
  }
  return value;
}
