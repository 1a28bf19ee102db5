import { ArgumentFilter } from '../../core/argument-filter';
import type { Events } from '../../core/events';
import type { RedisClient } from '../../core/redis';
import type { ModelLookup } from '../../model/model-folder';
import { MAX_DELIVERIES } from '../adapter/fused-script';
import { deserializeArguments } from '../enqueue/arguments';
import { releaseUnique } from '../outbox/unique-claim';
import type { JobRegistry } from '../registry';
import type { JobSetup } from '../setup';
import { RedisNoteStore } from './note-store';
import { Performer, type PerformerOptions } from './performer';

export interface Performance {
  readonly knex: Parameters<typeof releaseUnique>[0];
  readonly redis: RedisClient;
  readonly registry: JobRegistry;
  readonly events: Events;
  readonly setup: JobSetup;
  readonly models: ModelLookup | undefined;
  readonly onFinished: PerformerOptions['onFinished'];
  readonly tuning: Pick<PerformerOptions, 'random' | 'now' | 'overdueMs' | 'uncaughtGraceMs'> & {
    readonly maxDeliveries?: number;
    readonly noteMs?: number;
  };
}

/** A performer on the stores of this process, with what the app adds. */
export function createPerformer({ knex, redis, registry, events, setup, models, onFinished, tuning }: Performance) {
  const codec = { serializers: setup.serializers, models };
  return new Performer({
    registry,
    events,
    onFinished,
    maxDeliveries: tuning.maxDeliveries ?? MAX_DELIVERIES,
    middleware: setup.performMiddleware,
    decode: (args) => deserializeArguments(args, codec),
    filter: new ArgumentFilter(setup.filterArguments),
    notes: new RedisNoteStore(redis, tuning.noteMs),
    releaseUnique: (id) => releaseUnique(knex, id),
    random: tuning.random,
    now: tuning.now,
    overdueMs: tuning.overdueMs,
    uncaughtGraceMs: tuning.uncaughtGraceMs,
  });
}
