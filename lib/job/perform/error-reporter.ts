import type { EventMap, EventName, Events } from '../../core/events';
import type { Deadline } from '../../support/async';
import { toError } from '../../support/async';
import type { Service } from '../../support/service';
import type { ErrorReport, JobSetup } from '../definition/setup';

type Reporter = NonNullable<JobSetup['reportError']>;

const DURING = "the app's reportError";
/** Reports on their way at once. A tracker that answers nobody would have them pile up. */
const MOST_PENDING = 1000;

/** Which events are failures, and how they are reported. */
const REPORTS: { readonly [E in EventName]?: (event: EventMap[E]) => ErrorReport } = {
  'job.retrying': (job) => ofJob('retrying', job),
  'job.dead': (job) => ofJob('dead', job),
  'job.discarded': (job) => ofJob('discarded', job),
  'queue.error': ({ error, during }) => ({ kind: 'relay', error, during }),
  'cron.error': ({ error, name }) => ({
    kind: 'cron',
    error,
    during: name === undefined ? 'enqueuing recurring jobs' : `enqueuing the recurring job ${name}`,
  }),
  'redis.lost': ({ error }) => ({ kind: 'redis', error }),
  'database.error': ({ error }) => ({ kind: 'postgres', error }),
  'process.error': ({ error, during }) => ({ kind: 'process', error, during }),
};

/** Tells the app's `reportError` of every failure, off the path of the jobs: nobody waits for it, and it harms nobody. */
export class ErrorReporter implements Service {
  readonly name = 'error reporter';
  private readonly pending = new Set<Promise<unknown>>();
  private unsubscribe: (() => void) | undefined;
  private toldOfSilence = false;

  /** @param report undefined: nothing is reported, nor listened to. */
  constructor(
    private readonly events: Events,
    private readonly report: Reporter | undefined,
  ) {}

  async start(): Promise<void> {
    if (this.report) this.unsubscribe ??= this.events.onAny((name, event) => this.hear(name, event));
  }

  /** Reports on their way may still arrive. */
  async stop(deadline: Deadline): Promise<void> {
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    await deadline.wait(Promise.all(this.pending));
  }

  private hear(name: EventName, event: EventMap[EventName]): void {
    const describe = REPORTS[name] as ((event: EventMap[EventName]) => ErrorReport) | undefined;
    if (!describe) return;
    // Its own failure would be reported to it, and fail again.
    if ('during' in event && event.during === DURING) return;
    if (this.pending.size >= MOST_PENDING) {
      this.tellOfSilence();
      return;
    }
    this.toldOfSilence = false;
    const sent: Promise<unknown> = this.send(describe(event)).finally(() => this.pending.delete(sent));
    this.pending.add(sent);
  }

  private tellOfSilence(): void {
    if (this.toldOfSilence) return;
    this.toldOfSilence = true;
    const error = new Error(`${MOST_PENDING} reports have got no answer yet: others are left out until they have`);
    this.events.emit('process.error', { error, during: DURING });
  }

  private async send(report: ErrorReport): Promise<void> {
    try {
      await this.report?.(report);
    } catch (thrown) {
      this.events.emit('process.error', { error: toError(thrown), during: DURING });
    }
  }
}

type FailedJob = EventMap['job.retrying'] | EventMap['job.dead'] | EventMap['job.discarded'];

function ofJob(kind: 'retrying' | 'dead' | 'discarded', job: FailedJob): ErrorReport {
  const { id, class: name, queue, attempt, error, requestId } = job;
  const args = job.args?.();
  return {
    kind,
    error,
    class: name,
    id,
    queue,
    attempt,
    ...(args && { args }),
    ...(requestId !== undefined && { requestId }),
  };
}
