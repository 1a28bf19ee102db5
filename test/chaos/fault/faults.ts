import { CLOCK_FAULTS } from './clock';
import { CONNECTION_FAULTS } from './connections';
import type { Fault } from './fault';
import { OVERLOAD } from './overload';
import { PHASED_RESTART } from './phased-restart';
import { POSTGRES_FAULTS } from './postgres';
import { PROCESS_FAULTS } from './processes';
import { REDIS_FAULTS } from './redis';
import { REDIS_LOSS_FAULTS } from './redis-loss';
import { SMTP_FAULTS } from './smtp';

export const FAULTS: readonly Fault[] = [
  ...PROCESS_FAULTS,
  ...REDIS_FAULTS,
  ...REDIS_LOSS_FAULTS,
  ...POSTGRES_FAULTS,
  ...SMTP_FAULTS,
  ...CLOCK_FAULTS,
  ...CONNECTION_FAULTS,
  OVERLOAD,
  PHASED_RESTART,
];
