import type { Knex } from 'knex';
import type { Events } from '../../core/events';
import type { RedisClient } from '../../core/redis';

/** Where it is told what an operator has done. */
export interface Audit {
  readonly events: Events;
  /** Who asks, for the log: `cli`, or a name at the web pages. */
  readonly via: string;
}

/** What the sets of an operator's process are read from. */
export interface SetSources extends Audit {
  readonly redis: RedisClient;
  readonly knex: Knex;
  /** All queues that are known. */
  readonly queues: readonly string[];
}

/** What operators do with jobs. */
export type OperatorAction = 'retry' | 'run' | 'reschedule' | 'kill' | 'delete';
