import type { Damage } from '../ledger';
import type { Environment } from '../scene/environment';
import { JOB_FAULTS } from './jobs';
import { OVERLOAD } from './overload';
import { POSTGRES_FAULTS } from './postgres';
import { CLOCK_FAULTS, PHASED_RESTART, PROCESS_FAULTS } from './processes';
import { REDIS_FAULTS } from './redis';
import { SMTP_FAULTS } from './smtp';

/** @returns a random number from 0 to `sides` - 1, the same for the same seed. */
export type Roll = (sides: number) => number;

export interface Fault {
  /** The name that `--only` takes. */
  readonly name: string;
  readonly about: string;
  /** The worst outcome that requests may have meanwhile. Default: all are answered as usual. No fault excuses a 500. */
  readonly damage?: Exclude<Damage, 'failed'>;
  /** Causes the fault and removes its cause before it resolves. */
  inject(environment: Environment, roll: Roll): Promise<void>;
}

/** All faults. Changing their order changes the schedule of a seed. */
export const FAULTS: readonly Fault[] = [
  ...PROCESS_FAULTS,
  ...REDIS_FAULTS,
  ...POSTGRES_FAULTS,
  ...SMTP_FAULTS,
  ...CLOCK_FAULTS,
  ...JOB_FAULTS,
  OVERLOAD,
  PHASED_RESTART,
];
