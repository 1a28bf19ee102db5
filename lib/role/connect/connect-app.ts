import { type Carrier, connectBroadcasts } from '../../broadcast/broadcast';
import { RedisCarrier, type RedisCarrierOptions } from '../../broadcast/redis-carrier';
import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import type { Redis } from '../../core/redis';
import { connectAdmin } from '../../job/admin/app-sources';
import type { JobDependencies } from '../../job/enqueue/connection';
import { RowEnqueuer } from '../../job/enqueue/row-enqueuer';
import { Hints } from '../../job/hint/hints';
import { Job } from '../../job/job';
import { keyringOf } from '../../job/record/encryption';
import type { Database } from '../../model/database';

interface JobConnections extends Omit<JobDependencies, 'keys'> {
  readonly database: Database;
  readonly redis: Redis;
  readonly events: Events;
  readonly jobs?: Pick<Config['jobs'], 'queues' | 'encryptionKeys' | 'logEnqueues'>;
}

/** Makes `performLater` and `Jobs` work in this process. @returns a function that undoes it. */
export function connectJobs({ database, redis, events, setup, models, jobs }: JobConnections): () => void {
  const served = jobs?.queues.map(({ name }) => name);
  const hints = redis.isOff ? undefined : new Hints(redis.client);
  const enqueuer = new RowEnqueuer(database.knex, hints, events, served, jobs?.logEnqueues);
  enqueuer.started();
  Job.connect(enqueuer, { setup, models, keys: keyringOf(jobs?.encryptionKeys) });
  connectAdmin({
    events,
    queues: served ?? [],
    processes: redis.isOff
      ? undefined
      : async () => (await import('../../tree/processors')).listProcesses(redis.client),
  });
  return () => {
    Job.connect(undefined, {});
    connectAdmin(undefined);
  };
}

/** Makes `broadcast` and `subscribe` work in this process. @param siblings undefined: it belongs to no tree. */
export function connectToSubscribers({
  siblings,
  ...options
}: RedisCarrierOptions & { readonly siblings?: Carrier | undefined }): void {
  const onError = (error: Error, during: string) => options.events.emit('process.error', { error, during });
  const others = options.redis.isOff ? [] : [new RedisCarrier(options)];
  connectBroadcasts({ carriers: [...(siblings ? [siblings] : []), ...others], onError });
}
