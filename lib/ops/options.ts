import type { Knex } from 'knex';
import type { Operations } from '../cluster/stats';
import type { Config } from '../core/config';
import type { Events } from '../core/events';
import type { Redis } from '../core/redis';
import type { JobClass } from '../job/job-class';

/** What the operator's pages are made from. The role gives it, in every web worker. */
export interface OpsOptions {
  readonly config: Config;
  /** Of the app. */
  readonly appName: string;
  readonly events: Events;
  readonly redis: Redis;
  readonly knex: Knex;
  /** Shows the whole tree, and changes it: a worker asks the primary. */
  readonly tree: Operations;
  /** The app's job classes, loaded when they are asked for, and what its job setup hides of arguments. */
  readonly jobs: {
    readonly classes: () => Iterable<JobClass>;
    readonly filterArguments: readonly (string | RegExp)[];
  };
  /** True once the process has been asked to go: streams end then. */
  readonly isLeaving: () => boolean;
  /** Of mails. While one is looked at, a change in the folders that it is made of shows it anew. */
  readonly previews: { readonly folder: string; readonly madeOf: readonly string[] };
}
