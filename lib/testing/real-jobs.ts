import type { EventMap, EventName } from '../core/events';
import { EnqueueError } from '../job/enqueue/enqueue-error';
import type { EnqueuedJob, EnqueueRequest } from '../job/enqueue/request';
import type { JobClass } from '../job/job-class';
import { JobRegistry } from '../job/registry';
import { currentTransaction, onOutcome } from '../model/transaction';
import type { Equipment } from './equipment';
import { Ledger, LedgerEntry } from './ledger';
import type { PerformOptions, TestMode } from './mode';
import type { RealConnections } from './real-connections';
import { performReal, type Workplace } from './real-perform';

/** Jobs in Redis and Postgres, performed by a job processor of the test's own process. */
export class RealJobs implements TestMode {
  readonly name = 'real';
  readonly ledger = new Ledger();
  private readonly registry = new RealRegistry();
  private readonly byId = new Map<string, LedgerEntry>();
  private closed = false;

  constructor(
    readonly equipment: Equipment,
    private readonly connections: RealConnections,
    private readonly limits: Pick<Workplace, 'concurrency' | 'timeoutMs'>,
  ) {
    const { events } = connections;
    const follow = <E extends EventName & `job.${string}`>(
      name: E,
      apply: (entry: LedgerEntry, event: EventMap[E]) => void,
    ) =>
      events.on(name, (event) => {
        const entry = 'id' in event ? this.byId.get(event.id) : undefined;
        if (entry) apply(entry, event);
      });
    follow('job.started', (entry) => {
      entry.state = 'performing';
      entry.runs += 1;
      entry.error = undefined;
    });
    follow('job.succeeded', (entry) => {
      entry.state = 'succeeded';
    });
    follow('job.retrying', (entry, { waitMs, error }) => {
      Object.assign(entry, { state: 'enqueued', error, dueAt: Date.now() + waitMs });
    });
    follow('job.discarded', (entry, { error }) => {
      Object.assign(entry, { state: 'discarded', error });
    });
    follow('job.dead', (entry, { error }) => {
      Object.assign(entry, { state: 'dead', error });
    });
  }

  async enqueue(requests: readonly EnqueueRequest[]): Promise<EnqueuedJob[]> {
    const entries = requests.map((request) => this.note(request));
    let outcome: readonly (EnqueuedJob | Error)[] = [];
    try {
      outcome = await this.connections.enqueuer.enqueue(requests);
      return [...outcome] as EnqueuedJob[];
    } catch (thrown) {
      if (thrown instanceof EnqueueError) outcome = thrown.jobs;
      throw thrown;
    } finally {
      entries.forEach((entry, i) => {
        const job = outcome[i];
        if (job && !(job instanceof Error) && job.enqueued) this.follow(entry);
        else this.forget(entry);
      });
    }
  }

  async perform(options: PerformOptions, since: number): Promise<void> {
    const { connections, registry, equipment, ledger, limits } = this;
    await performReal({ connections, registry, equipment, ledger, ...limits }, options, since);
  }

  async clear(): Promise<void> {
    const left = this.ledger.in(['pending', 'enqueued', 'dead']);
    if (left.length > 0) await this.connections.remove(left);
    this.ledger.clear();
    this.byId.clear();
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.clear();
    await this.connections.close();
  }

  /** Before it is enqueued: a processor may have it the next moment. */
  private note(request: EnqueueRequest): LedgerEntry {
    if (this.registry.get(request.name) !== request.jobClass) this.registry.add(request.jobClass);
    const entry = new LedgerEntry(request);
    this.ledger.add(entry);
    this.byId.set(request.id, entry);
    return entry;
  }

  private follow(entry: LedgerEntry): void {
    const trx = entry.request.trx ?? currentTransaction();
    if (trx) onOutcome(trx, (committed) => (committed ? accept(entry) : this.forget(entry)));
    else accept(entry);
  }

  private forget(entry: LedgerEntry): void {
    this.ledger.remove(entry);
    this.byId.delete(entry.request.id);
  }
}

/** Whose recurring jobs stay away: a test's processor runs what the test has enqueued. */
class RealRegistry extends JobRegistry {
  override *[Symbol.iterator](): Iterator<JobClass> {
    const classes = { [Symbol.iterator]: () => super[Symbol.iterator]() };
    for (const jobClass of classes) yield Object.create(jobClass, { cron: { value: undefined } }) as JobClass;
  }
}

/** Unless it has been performed meanwhile. */
function accept(entry: LedgerEntry): void {
  if (entry.state === 'pending') entry.state = 'enqueued';
}
