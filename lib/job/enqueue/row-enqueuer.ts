import type { Knex } from 'knex';
import type { Events } from '../../core/events';
import { traced } from '../../core/tracing';
import { currentTransaction } from '../../model/transaction';
import { toError } from '../../support/to-error';
import type { BatchStore } from '../definition/batch';
import { EnqueueDeadlockError } from '../definition/errors';
import type { CancelCounts, EnqueuedJob, EnqueueRequest } from '../definition/job-class';
import { describeEnqueue } from '../definition/job-span';
import type { LimitRule } from '../definition/limits';
import { checkQueue, compileOptions } from '../definition/options';
import type { JobRun } from '../definition/setup';
import { Admitter } from '../hint/admitter';
import type { BatchSettler } from '../hint/batch-settler';
import { Announcer, type Hints } from '../hint/hints';
import type { Keyring } from '../record/encryption';
import { createPayload } from '../record/new-payload';
import { countAdded } from '../row/batch';
import type { CancelChoice } from '../row/cancel';
import type { EndedJob } from '../row/finished';
import { type Inserted, insertJobs } from '../row/insert';
import type { NewJobRow } from '../row/job-row';
import { type Enqueuer, jobEquipment } from './connection';
import { allEnqueued } from './enqueue';

/**
 * Enqueues jobs. Each becomes a row, in the transaction of its caller or in one of its own. After the commit, job processors
 * are told.
 */
export class RowEnqueuer implements Enqueuer {
  private readonly announcer: Announcer;
  private readonly admitter: Admitter;
  private settler: BatchSettler | undefined;
  private readonly limits = new Map<string, LimitRule>();
  /** Classes that were reported as late, once each. */
  private readonly lateClasses = new Set<string>();
  /** Queues that were reported as missing from JOB_QUEUES, once each. */
  private readonly unserved = new Set<string>();

  constructor(
    private readonly knex: Knex,
    hints: Hints | undefined,
    private readonly events: Events,
    /** The queues of JOB_QUEUES. Default: not known, so that none is reported. */
    private readonly served?: readonly string[],
    readonly logsSources = false,
  ) {
    this.announcer = new Announcer(knex, hints);
    this.admitter = new Admitter(knex, this.limits, this.announcer, true);
  }

  /** Call when the process starts. */
  started(): void {
    this.announcer.started();
  }

  async enqueue(requests: readonly EnqueueRequest[]): Promise<EnqueuedJob[]> {
    const byConnection = new Map<Knex, EnqueueRequest[]>();
    for (const request of requests) {
      checkQueue(request);
      if (this.served?.includes(request.queue) === false) this.reportUnserved(request, this.served);
      addTo(byConnection, request.trx ?? currentTransaction() ?? this.knex, request);
    }
    const jobs = new Map<EnqueueRequest, EnqueuedJob>();
    let failure: Error | undefined;
    try {
      for (const [knex, some] of byConnection) await this.insert(knex, some, jobs);
    } catch (thrown) {
      failure = toError(thrown);
    }
    return allEnqueued(requests.map((request) => jobs.get(request) ?? failure ?? new Error('not enqueued')));
  }

  async cancel(choice: CancelChoice, reason: string): Promise<CancelCounts> {
    // Loaded on demand: most processes cancel no job.
    const { Canceller } = await import('./canceller');
    return new Canceller(this.knex, this.events).cancel(choice, reason);
  }

  async endings(ids: readonly string[]): Promise<ReadonlyMap<string, EndedJob>> {
    const { readEndings } = await import('../row/finished');
    return readEndings(this.knex, ids);
  }

  log({ id, class: name }: Pick<JobRun, 'id' | 'class'>, text: string): void {
    this.events.emit('job.log', { id, class: name, text });
  }

  async batches(): Promise<BatchStore> {
    const [{ AppBatches }, { BatchSettler }] = await Promise.all([
      import('./batch-rows'),
      import('../hint/batch-settler'),
    ]);
    const { keys } = jobEquipment();
    this.settler ??= new BatchSettler(this.knex, this.announcer);
    const onChanged = (ids: readonly string[]) => this.settler?.settle(ids);
    return new AppBatches(this.knex, this.events, onChanged, (request) => toRow(request, keys));
  }

  cancelled({ id, name, queue }: EnqueueRequest): void {
    this.events.emit('job.enqueue-cancelled', { id, class: name, queue });
  }

  late({ name }: EnqueueRequest): void {
    if (this.lateClasses.has(name)) return;
    this.lateClasses.add(name);
    this.events.emit('job.left-transaction', { class: name });
  }

  /** The start warns of the queues of classes; `set({ queue })` may name any other. */
  private reportUnserved({ name, queue }: EnqueueRequest, served: readonly string[]): void {
    if (this.unserved.has(queue)) return;
    this.unserved.add(queue);
    const wrong = `${name} was enqueued on ${queue}, which JOB_QUEUES (${served.join(', ')}) lacks`;
    this.events.emit('process.warning', { message: `${wrong}: add it there, unless another tree serves it` });
  }

  private async insert(
    knex: Knex,
    requests: readonly EnqueueRequest[],
    jobs: Map<EnqueueRequest, EnqueuedJob>,
  ): Promise<void> {
    const inserted = await traced(
      'producer',
      () => describeEnqueue(requests),
      () => {
        const { keys } = jobEquipment();
        const rows = requests.map((request) => toRow(request, keys));
        return afterDeadlocks(knex, requests, () => insertWithBatches(knex, rows));
      },
    );
    const ready = requests.flatMap(({ queue }, i) => (inserted[i]?.ready ? { id: inserted[i].id, queue } : []));
    const waiting = requests.filter((_, i) => isEnqueued(inserted[i]));
    const scheduled = waiting.some(({ runAt }) => runAt !== undefined);
    const held = waiting.flatMap((request) => this.heldKey(request));
    const isPrioritised = requests.some((request, i) => mayRunByPriority(request, inserted[i]));
    this.announcer.inserted(knex, ready, scheduled, () => {
      if (isPrioritised) this.announcer.prioritised();
      this.admitter.admit(held);
    });
    requests.forEach((request, i) => {
      const { id, as } = inserted[i] ?? { id: request.id, as: 'new' };
      jobs.set(request, this.resultOf(request, id, as));
    });
  }

  private heldKey({ name, jobClass, runAt, limitKey }: EnqueueRequest): readonly string[] {
    const { limit } = compileOptions(jobClass);
    if (limitKey === undefined || runAt || !limit) return [];
    this.limits.set(name, limit);
    return [limitKey];
  }

  private resultOf({ name, queue, source }: EnqueueRequest, id: string, as: Inserted['as']): EnqueuedJob {
    this.events.emit(EVENTS[as], { id, class: name, queue, ...(source !== undefined && { source }) });
    if (as === 'duplicate' || as === 'throttled') return { id, enqueued: false, reason: as };
    return { id, enqueued: true, ...(as === 'replaced' && { replaced: true }) };
  }
}

const EVENTS = {
  new: 'job.enqueued',
  replaced: 'job.replaced',
  duplicate: 'job.duplicate',
  throttled: 'job.throttled',
} as const;

function isEnqueued(inserted: Inserted | undefined): boolean {
  return inserted?.as === 'new' || inserted?.as === 'replaced';
}

/** Attempts at an enqueue that Postgres ends because of a deadlock. */
const MAX_TRIES = 5;

/** Inserts again what a deadlock has undone. @throws EnqueueDeadlockError in a transaction of the app, which cannot go on. */
async function afterDeadlocks<T>(knex: Knex, [first]: readonly EnqueueRequest[], insert: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await insert();
    } catch (thrown) {
      if ((thrown as { readonly code?: unknown }).code !== '40P01') throw thrown;
      if (knex.isTransaction || tries === MAX_TRIES) throw new EnqueueDeadlockError(first?.name ?? '', thrown);
    }
  }
}

/** Jobs of batches are inserted and counted in one transaction. @throws BatchEndedError. */
async function insertWithBatches(knex: Knex, rows: readonly NewJobRow[]): Promise<Inserted[]> {
  if (!rows.some(({ batchId }) => batchId !== undefined)) return insertJobs(knex, rows);
  if (!knex.isTransaction) return knex.transaction((trx) => insertWithBatches(trx, rows));
  const inserted = await insertJobs(knex, rows);
  const added = new Map<string, number>();
  for (const [i, { batchId }] of rows.entries())
    if (batchId !== undefined && isEnqueued(inserted[i])) added.set(batchId, (added.get(batchId) ?? 0) + 1);
  await countAdded(knex, added);
  return inserted;
}

/** A job of a limit may run once it is admitted, which is announced then. One that is replaced may have been admitted. */
function mayRunByPriority({ priority, runAt, limitKey }: EnqueueRequest, inserted: Inserted | undefined): boolean {
  return priority !== 0 && !runAt && isEnqueued(inserted) && (limitKey === undefined || inserted?.as === 'replaced');
}

function toRow(request: EnqueueRequest, keys: Keyring | undefined): NewJobRow {
  const { id, name, queue, runAt, unique, tags, limitKey, priority, batchId } = request;
  const payload = JSON.stringify(createPayload(request, keys));
  return { id, queue, class: name, payload, tags, runAt, unique, limitKey, priority, batchId };
}

function addTo(groups: Map<Knex, EnqueueRequest[]>, key: Knex, request: EnqueueRequest): void {
  const group = groups.get(key);
  if (group) group.push(request);
  else groups.set(key, [request]);
}
