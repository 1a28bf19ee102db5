import type { Knex } from 'knex';
import type { Events } from '../../core/events';
import type { RedisClient } from '../../core/redis';

/** What the sets of an operator's process are read from. */
export interface SetSources {
  readonly redis: RedisClient;
  readonly knex: Knex;
  readonly events: Events;
  /** All queues that are known. */
  readonly queues: readonly string[];
  /** Who asks, for the log: `cli`, or a name at the web pages. */
  readonly via: string;
}

/** What operators do with jobs. */
export type OperatorAction = 'retry' | 'run' | 'reschedule' | 'kill' | 'delete';
