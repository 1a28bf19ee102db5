import { AsyncResource } from 'node:async_hooks';
import { Events } from '../core/events';
import { deserializeArguments } from '../job/enqueue/arguments';
import { MemoryNoteStore } from '../job/perform/note-store';
import { Performer } from '../job/perform/performer';
import { JobRegistry } from '../job/registry';
import { ErrorReporter } from '../job/report/error-reporter';
import type { Claims } from './claims';
import type { Equipment } from './equipment';
import type { LedgerEntry } from './ledger';

export type RunOutcome = 'succeeded' | 'retrying' | 'discarded' | 'dead';

/**
 * Performs jobs as a job processor does, by the same code, from the record that would have travelled: only the way
 * through Redis and the wait for a retry are missing.
 */
export class TestRuns {
  /** Where the kit was connected: a job processor knows no request and no transaction of whoever enqueued. */
  private readonly outside = new AsyncResource('CatamountTestRun');
  private readonly events = new Events();
  private readonly notes = new MemoryNoteStore();
  private readonly running = new Map<string, LedgerEntry>();
  /** What the app's own hooks threw: in production it is logged, and costs a job nothing. */
  private readonly mishaps: Error[] = [];

  constructor(
    private readonly equipment: Equipment,
    private readonly claims: Claims,
  ) {
    const { events } = this;
    void new ErrorReporter(events, equipment.setup.reportError).start();
    for (const name of ['job.retrying', 'job.discarded', 'job.dead'] as const) {
      events.on(name, ({ id, error }) => {
        const entry = this.running.get(id);
        if (entry) entry.error = error;
      });
    }
    for (const name of ['process.error', 'queue.error'] as const) {
      events.on(name, ({ error, during }) => {
        this.mishaps.push(new Error(`${during}: ${error.message}`, { cause: error }));
      });
    }
  }

  /**
   * Runs the job once, and notes in its entry what came of it, whatever the job does.
   * @throws what went wrong beside the job: in `afterDiscard`, in `retryIn`, in the app's `reportError`.
   */
  async run(entry: LedgerEntry): Promise<RunOutcome> {
    const { id, queue } = entry.request;
    entry.state = 'performing';
    entry.runs += 1;
    entry.error = undefined;
    this.running.set(id, entry);
    const delivery = { id, queue, record: entry.record, deliveries: 1, fence: 'test' };
    const performer = this.performer(entry);
    const { outcome, recorded } = await this.outside.runInAsyncScope(() => performer.perform(delivery));
    recorded(true);
    this.running.delete(id);
    const [mishap] = this.mishaps.splice(0);
    if (outcome.op === 'done') entry.state = 'succeeded';
    else if (outcome.op === 'drop') entry.state = 'discarded';
    else if (!('record' in outcome)) throw new Error(`${entry.request.name} was given back, though nothing stops here`);
    else {
      entry.record = outcome.record;
      entry.state = outcome.op === 'bury' ? 'dead' : 'enqueued';
      if (outcome.op === 'retry') entry.dueAt = outcome.dueAt;
    }
    if (mishap) throw mishap;
    return entry.state === 'enqueued' ? 'retrying' : entry.state;
  }

  private performer({ request }: LedgerEntry): Performer {
    const { setup, codec, filter } = this.equipment;
    return new Performer({
      registry: new JobRegistry([request.jobClass]),
      events: this.events,
      maxDeliveries: 1,
      onFinished: () => undefined,
      middleware: setup.performMiddleware,
      decode: (args) => deserializeArguments(args, codec),
      filter,
      notes: this.notes,
      releaseUnique: async (id) => this.claims.release(id),
    });
  }
}
