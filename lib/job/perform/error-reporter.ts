import type { EventMap, EventName, Events } from '../../core/events';
import type { Deadline } from '../../support/deadline';
import type { Service } from '../../support/service';
import { toError } from '../../support/to-error';
import type { ErrorReport, JobSetup } from '../definition/setup';

type Reporter = NonNullable<JobSetup['reportError']>;

const DURING = "the app's reportError";
/** Maximum number of unanswered reports, so that they do not pile up when the error tracker hangs. */
const MAX_PENDING = 1000;

/** The events that are failures, and their reports. */
const REPORTS: { readonly [E in EventName]?: (event: EventMap[E]) => ErrorReport } = {
  'job.retrying': (job) => ofJob('retrying', job),
  'job.dead': (job) => ofJob('dead', job),
  'job.discarded': (job) => ofJob('discarded', job),
  'queue.error': ({ error, during }) => ({ kind: 'queue', error, during }),
  'cron.error': ({ error, name }) => ({
    kind: 'cron',
    error,
    during: name === undefined ? 'enqueuing recurring jobs' : `enqueuing the recurring job ${name}`,
  }),
  'redis.lost': ({ error }) => ({ kind: 'redis', error }),
  'database.error': ({ error }) => ({ kind: 'postgres', error }),
  'process.error': ({ error, during }) => ({ kind: 'process', error, during }),
};

/** Reports every failure to the app's `reportError`. Nobody waits for it, and its own errors are only logged. */
export class ErrorReporter implements Service {
  readonly name = 'error reporter';
  private readonly pending = new Set<Promise<unknown>>();
  private unsubscribe: (() => void) | undefined;
  private overloadReported = false;

  constructor(
    private readonly events: Events,
    private readonly report: Reporter,
  ) {}

  async start(): Promise<void> {
    const names = Object.keys(REPORTS) as EventName[];
    this.unsubscribe ??= this.events.onAny((name, event) => this.hear(name, event), names);
  }

  /** Stops listening and lets reports in progress finish until the deadline. */
  async stop(deadline: Deadline): Promise<void> {
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    await deadline.wait(Promise.all(this.pending));
  }

  private hear(name: EventName, event: EventMap[EventName]): void {
    const describe = REPORTS[name] as ((event: EventMap[EventName]) => ErrorReport) | undefined;
    if (!describe) return;
    // A failure of `reportError` itself would be reported and fail again.
    if ('during' in event && event.during === DURING) return;
    if (this.pending.size >= MAX_PENDING) {
      this.reportOverload();
      return;
    }
    this.overloadReported = false;
    const sent: Promise<unknown> = this.send(describe(event)).finally(() => this.pending.delete(sent));
    this.pending.add(sent);
  }

  private reportOverload(): void {
    if (this.overloadReported) return;
    this.overloadReported = true;
    const error = new Error(`${MAX_PENDING} reports are unanswered; further ones are dropped until some have been`);
    this.events.emit('process.error', { error, during: DURING });
  }

  private async send(report: ErrorReport): Promise<void> {
    try {
      await this.report(report);
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
