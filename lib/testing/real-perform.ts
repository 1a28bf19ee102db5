import type { EventMap, EventName } from '../core/events';
import type { JobRegistry } from '../job/job-registry';
import { ErrorReporter } from '../job/perform/error-reporter';
import { JobProcessor } from '../job/processor';
import { Deadline, deferred, toError } from '../support/async';
import { listJobs } from './assertions';
import { isDue, type JobLog, type LoggedJob, matchesFilter } from './job-log';
import type { RealConnections } from './real-jobs';
import type { PerformOptions, TestDependencies } from './use-jobs';

/** Timeouts for stopping the processor, ms. The shorter one applies once the jobs have used up their time. */
const STOP_MS = 5000;
const LATE_STOP_MS = 500;

export interface Workplace {
  readonly connections: RealConnections;
  readonly registry: JobRegistry;
  readonly dependencies: TestDependencies;
  readonly jobLog: JobLog;
  /** Number of jobs that run at once. */
  readonly concurrency: number;
  /** Time limit for all of them together, ms. */
  readonly timeoutMs: number;
}

/**
 * Runs processors one after another until no due job is left, since a job may enqueue another into a queue from which
 * the running processor does not fetch.
 * @throws the error of the first job that dies; Error after `timeoutMs`; TypeError for `only` or `except`.
 */
export async function performReal(place: Workplace, options: PerformOptions, since: number): Promise<void> {
  if (options.only !== undefined || options.except !== undefined) {
    throw new TypeError('a real job processor runs whatever comes next in its queues: leave out only and except');
  }
  place.connections.checkCommits();
  const deadline = Deadline.after(place.timeoutMs);
  const matches = matchesFilter(options);
  const left = () => place.jobLog.in(['enqueued'], since).filter((entry) => matches(entry) && isDue(entry, options));
  for (let due = left(); due.length > 0; due = left()) {
    const queues = new Set(due.map(({ request }) => request.queue));
    await new RealWork(place, options, [...queues], left).run(deadline);
  }
}

/** One run of a processor. */
class RealWork {
  /** Error of the first job that died. */
  private failure: Error | undefined;
  /** Error of the processor or of the app's hooks. */
  private trouble: Error | undefined;
  private readonly processor: JobProcessor;
  private readonly reporter: ErrorReporter | undefined;
  private readonly promoted = new Set<string>();
  private readonly ended = deferred();

  constructor(
    private readonly place: Workplace,
    private readonly options: PerformOptions,
    private readonly queues: readonly string[],
    private readonly left: () => readonly LoggedJob[],
  ) {
    const { connections, registry, dependencies, concurrency } = place;
    const { database, redis, redisUrl, events } = connections;
    this.processor = new JobProcessor({
      config: {
        jobs: {
          enabled: true,
          concurrency,
          queues: queues.map((name) => ({ name, weight: 1 })),
          weighted: false,
          latencyWarningMs: 0,
        },
        environment: 'test',
      },
      redisUrl,
      database,
      redis,
      events,
      registry,
      setup: dependencies.setup,
      ...(dependencies.models && { models: dependencies.models }),
    });
    const { reportError } = dependencies.setup;
    this.reporter = reportError && new ErrorReporter(events, reportError);
  }

  async run(deadline: Deadline): Promise<void> {
    const { connections, jobLog, timeoutMs, dependencies } = this.place;
    const unsubscribe = connections.events.onAny((name, event) => this.onEvent(name, event));
    await this.reporter?.start();
    await this.processor.start();
    this.checkJobs();
    const outcome = await deadline.wait(this.ended.promise);
    const stop = Deadline.after(outcome === 'late' ? LATE_STOP_MS : STOP_MS);
    await this.processor.stop(stop);
    await this.reporter?.stop(stop);
    unsubscribe();
    if (this.failure) throw this.failure;
    if (outcome === 'done' && this.trouble) throw this.trouble;
    if (outcome === 'done') return;
    const left = listJobs('Left', jobLog.in(['enqueued', 'performing']), dependencies);
    throw new Error(`the jobs did not end within ${timeoutMs} ms\n${left}`, { cause: this.trouble });
  }

  private onEvent(name: EventName, event: EventMap[EventName]): void {
    const { retries = 'now' } = this.options;
    if (name.endsWith('.error') && 'error' in event) this.trouble = event.error;
    if (name === 'job.dead' && 'error' in event) this.failure ??= event.error;
    // The job waits for another app, which does not run in a test.
    if (name === 'job.left' && 'error' in event) this.failure ??= event.error;
    if (name === 'job.retrying' && 'error' in event && retries === 'never') this.failure ??= event.error;
    if (this.failure) this.ended.resolve();
    // The job log receives this event after us, so the check waits until it has.
    else if (name.startsWith('job.')) queueMicrotask(() => this.checkJobs());
  }

  /** Brings forward jobs that are due by the test's clock or need not wait. Ends the run when no job is left. */
  private checkJobs(): void {
    const { jobLog, connections } = this.place;
    const here = this.left().filter(({ request }) => this.queues.includes(request.queue));
    const early = here.filter((entry) => isSetAside(entry) && !this.promoted.has(runKey(entry)));
    for (const entry of early) this.promoted.add(runKey(entry));
    connections.bringForward(early).catch((thrown: unknown) => {
      this.trouble = toError(thrown);
    });
    if (here.length === 0 && jobLog.in(['performing']).length === 0) this.ended.resolve();
  }
}

/** @returns true for a job in the scheduled set or the retry set. */
function isSetAside({ request, runs }: LoggedJob): boolean {
  return runs > 0 || request.runAt !== undefined;
}

function runKey({ request, runs }: LoggedJob): string {
  return `${request.id} ${runs}`;
}
