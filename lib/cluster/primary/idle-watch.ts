import type { Events } from '../../core/events';
import { formatDuration } from '../../support/duration';
import { PeriodicTask } from '../../support/periodic-task';
import { reported } from '../status';
import type { ProcessorSupervisor } from './processor';
import type { WorkerPool } from './worker-pool';

/** Children report once a second. */
const CHECK_MS = 1000;

interface IdleWatchOptions {
  /** IDLE_TIMEOUT, ms. */
  readonly timeoutMs: number;
  readonly workers: Pick<WorkerPool, 'handles'>;
  /** undefined: the tree runs no jobs. */
  readonly processor: Pick<ProcessorSupervisor, 'handles' | 'finished'> | undefined;
  readonly events: Events;
  readonly stop: (reason: string) => void;
  /** Monotonic clock, ms. Default `performance.now`. */
  readonly now?: () => number;
}

/** Stops a tree that has had nothing to do for IDLE_TIMEOUT: its host starts it again when somebody connects. */
export class IdleWatch {
  readonly task: PeriodicTask;
  private readonly now: () => number;
  private idleSince: number;
  private done = '';

  constructor(private readonly options: IdleWatchOptions) {
    const { events, now = () => performance.now() } = options;
    this.now = now;
    this.idleSince = now();
    this.task = new PeriodicTask({
      everyMs: CHECK_MS,
      work: () => this.check(),
      onError: (error) => events.emit('process.error', { error, during: 'checking whether the tree is idle' }),
    });
  }

  async check(): Promise<undefined> {
    const { timeoutMs, workers, processor, stop } = this.options;
    const web = workers.handles.map(({ status }) => status);
    const jobs = processor?.handles.map(({ status }) => status && reported(status));
    const done = `${web.map((status) => status?.requestsCount)} ${processor?.finished}`;
    // Who has not reported yet may have begun something; without a processor nobody knows what is due.
    const isBusy =
      web.some((status) => !status || status.busyThreads + status.backlog > 0) ||
      jobs?.length === 0 ||
      jobs?.some((status) => !status || status.inFlight.length + status.waiting.length > 0);
    if (isBusy || done !== this.done) this.idleSince = this.now();
    this.done = done;
    if (this.now() - this.idleSince < timeoutMs) return;
    stop(`there was no request and no job for ${formatDuration(timeoutMs)} (IDLE_TIMEOUT)`);
  }
}
